/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The screen of `gosonde top`, with htop's keys.
 *
 *   gosonde top  shop (PID 4711)  go1.26.8  up 3h05m          FROZEN at 03:12:45
 *   Goroutines 1028: 20 runnable, 3 running, 1005 waiting
 *   Ps 2 (0 idle)  threads 5  run queues 3  RSS 9.2 MiB  CPU 98.3%  GCs 4 (2s ago)
 *   by stack  filter "ledger": 2 of 17 rows
 *      COUNT STATE                   WAIT FUNCTION
 *       1000 chan receive              5m main.worker
 *   …
 *   F1Help F3Search F4Filter F5Group F6Sort Space Freeze Enter Stack F10Quit
 *
 * One loop: draw, wait for a key or for the next refresh, act. There is a table and, on top of it,
 * at most one page of text (help, a goroutine). Everything foreign is escaped before it is drawn.
 */
#include <curses.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/terminal.h"
#include "cli/top.h"

#define HEAD_LINES 4 /* above the column titles */
#define KEY_ESCAPE 27

enum { PAIR_BAR = 1, PAIR_SELECTED, PAIR_RUNNING, PAIR_RUNNABLE, PAIR_ALARM };

enum prompt { PROMPT_NONE, PROMPT_SEARCH, PROMPT_FILTER };

struct screen {
	struct gs_top *t;
	SCREEN *terminal;
	uint32_t selected, first;
	struct gs_top_key selected_key;
	bool has_key;
	bool frozen, quit, failed;
	enum prompt prompt;
	char search[GS_TOP_FILTER_MAX];
	char before_prompt[GS_TOP_FILTER_MAX]; /* the filter to return to on Esc */
	uint32_t prompt_from;                  /* where a search began */
	bool menu;                             /* the column to sort by is being chosen */
	unsigned int menu_at;
	struct gs_out page; /* text on top of the table, if shown */
	bool has_page;
	uint32_t page_first;
	char read_at[16];  /* "03:12:45", of the picture that is shown */
	char message[256]; /* shown instead of the key bar until the next key */
	struct gs_err err;
	int64_t next_ns;
};

static const char help_text[] =
	"gosonde top: goroutines of a running process, which is not stopped\n"
	"\n"
	"  Up Down PgUp PgDn Home End   move\n"
	"  Enter                        goroutine: stack, labels, creator\n"
	"                               creator, state: the goroutines of that group\n"
	"  Esc Backspace                back: page, filter, group\n"
	"  g F5                         group by stack, creator, state, not at all\n"
	"  F6 >                         choose the column to sort by (< as well)\n"
	"  C T S N B                    sort by count, time waiting, state, name,\n"
	"                               creator (P and M: count, as in htop)\n"
	"  I                            invert the order\n"
	"  / F3, n                      search, next match\n"
	"  \\ F4                         filter: text in state, creator or any function\n"
	"  Space z                      freeze; again: go on. Regrouping (g, Enter, Esc,\n"
	"                               K) and r read anew and freeze that picture\n"
	"  K                            show goroutines of the runtime, or not\n"
	"  r                            read anew now\n"
	"  h ? F1                       this page\n"
	"  q F10 Ctrl-C                 quit\n"
	"\n"
	"COUNT  goroutines with the same stack, state and creator\n"
	"WAIT   the longest wait of the group. The runtime knows a wait only from the\n"
	"       first garbage collection that found it, \"-\" means: not yet\n"
	"FUNCTION is the innermost one that is not of the runtime, sync, internal/...\n";

static uint32_t n_rows(const struct screen *s)
{
	return gs_top_rows_count(s->t->rows);
}

static int list_lines(void)
{
	int n = LINES - HEAD_LINES - 2;

	return n > 1 ? n : 1;
}

static void draw_text(int y, int x, const char *text, size_t n)
{
	struct gs_out o;

	if (x >= COLS || y >= LINES)
		return;
	gs_out_init_mem(&o);
	gs_text_cell(&o, text, n, (unsigned int)(COLS - x));
	if (o.len)
		mvaddnstr(y, x, o.buf, (int)o.len);
	gs_out_deinit(&o);
}

static void draw_string(int y, int x, const char *text)
{
	draw_text(y, x, text, strlen(text));
}

/* The picture stands still: since when, where there is room for it. */
static void draw_standstill(const struct screen *s)
{
	char word[48];

	if (s->failed)
		snprintf(word, sizeof(word), " ENDED ");
	else
		snprintf(word, sizeof(word), COLS < 48 ? " FROZEN " : " FROZEN at %s ", s->read_at);
	attron(A_BOLD | COLOR_PAIR(PAIR_ALARM));
	mvaddstr(0, COLS - (int)strlen(word) > 0 ? COLS - (int)strlen(word) : 0, word);
	attroff(A_BOLD | COLOR_PAIR(PAIR_ALARM));
}

static void draw_header(const struct screen *s)
{
	static const char title[] = "gosonde top  ";
	char line[300];
	const struct gs_top_view *v = &s->t->view;
	int x;

	for (unsigned int i = 0; i < 3; i++) {
		GS_CLEANUP(gs_out_deinitp) struct gs_out o;

		gs_out_init_mem(&o);
		gs_top_header_line(&o, s->t, i);
		x = i == 0 ? (int)sizeof(title) - 1 : 0;
		if (i == 0) {
			attron(A_BOLD);
			draw_string(0, 0, title);
			attroff(A_BOLD);
		}
		if (o.len)
			draw_text((int)i, x, o.buf, o.len);
	}
	snprintf(line, sizeof(line), "%s%s%s%s%s%s: %u%s", v->group == GS_TOP_SINGLE ? "" : "by ",
		 v->group == GS_TOP_SINGLE ? "goroutines" : gs_top_group_name(v->group),
		 v->has_scope ? " of one " : "",
		 v->has_scope ? gs_top_group_name(v->scope_group) : "",
		 v->filter[0] ? ", filter " : "", v->filter, n_rows(s),
		 v->system ? ", with the runtime's own" : "");
	draw_string(3, 0, line);
	if (s->frozen || s->failed)
		draw_standstill(s);
}

static attr_t row_colour(const struct gs_top_row *row)
{
	if (row->mixed_state)
		return A_NORMAL;
	if (row->state == GS_G_RUNNING || row->state == GS_G_SYSCALL)
		return (attr_t)COLOR_PAIR(PAIR_RUNNING);
	if (row->state == GS_G_RUNNABLE)
		return (attr_t)COLOR_PAIR(PAIR_RUNNABLE);
	return row->state == GS_G_LEAKED ? (attr_t)COLOR_PAIR(PAIR_ALARM) : A_NORMAL;
}

static void draw_bar(int y, attr_t attr)
{
	attrset(attr);
	mvhline(y, 0, (chtype)' ' | attr, COLS);
}

static void draw_table_line(const struct screen *s, int y, const struct gs_top_row *row,
			    const struct gs_top_cell_layout *l, unsigned int n)
{
	int x = 0;

	for (unsigned int c = 0; c < n; c++) {
		GS_CLEANUP(gs_out_deinitp) struct gs_out o;

		gs_out_init_mem(&o);
		gs_top_print_cell(&o, &l[c], row, true);
		if (!row && l[c].sort == s->t->view.column)
			attron(A_UNDERLINE);
		if (o.len)
			draw_text(y, x, o.buf, o.len);
		attroff(A_UNDERLINE);
		x += (int)l[c].width + 1;
	}
}

static void draw_table(struct screen *s)
{
	struct gs_top_cell_layout l[GS_TOP_CELLS_MAX];
	unsigned int n = gs_top_layout(s->t->view.group, (unsigned int)COLS, l);
	uint32_t lines = (uint32_t)list_lines(), rows = n_rows(s);

	if (s->selected >= rows)
		s->selected = rows ? rows - 1 : 0;
	if (s->selected < s->first)
		s->first = s->selected;
	if (s->selected >= s->first + lines)
		s->first = s->selected - lines + 1;
	if (s->first && s->first + lines > rows)
		s->first = rows > lines ? rows - lines : 0;
	draw_bar(HEAD_LINES, (attr_t)COLOR_PAIR(PAIR_BAR));
	draw_table_line(s, HEAD_LINES, NULL, l, n);
	for (uint32_t i = 0; i < lines && s->first + i < rows; i++) {
		const struct gs_top_row *row = gs_top_rows_at(s->t->rows, s->first + i);
		int y = HEAD_LINES + 1 + (int)i;

		if (s->first + i == s->selected)
			draw_bar(y, (attr_t)COLOR_PAIR(PAIR_SELECTED));
		else
			attrset(row_colour(row));
		draw_table_line(s, y, row, l, n);
		attrset(A_NORMAL);
	}
	if (!rows)
		draw_string(HEAD_LINES + 1, 0, gs_top_no_rows(s->t));
}

static void draw_keys(const struct screen *s)
{
	static const char *const keys[][2] = {
		{ "F1", "Help" }, { "F3", "Search" },    { "F4", "Filter" },  { "F5", "Group" },
		{ "F6", "Sort" }, { "Space", "Freeze" }, { "Enter", "Open" }, { "F10", "Quit" },
	};
	const char *typed = s->prompt == PROMPT_SEARCH ? s->search : s->t->view.filter;
	int x = 0, y = LINES - 1;

	if (s->prompt || s->message[0]) {
		draw_bar(y, (attr_t)COLOR_PAIR(PAIR_BAR));
		draw_string(y, 0,
			    s->prompt == PROMPT_SEARCH   ? "Search: "
			    : s->prompt == PROMPT_FILTER ? "Filter: "
							 : s->message);
		if (s->prompt) {
			draw_string(y, 8, typed);
			addch('_');
		}
		attrset(A_NORMAL);
		return;
	}
	draw_bar(y, A_NORMAL);
	for (size_t i = 0; i < GS_ARRAY_SIZE(keys) && x < COLS; i++) {
		attrset(A_NORMAL);
		draw_string(y, x, keys[i][0]);
		x += (int)strlen(keys[i][0]);
		attrset((attr_t)COLOR_PAIR(PAIR_BAR));
		draw_string(y, x, keys[i][1]);
		x += (int)strlen(keys[i][1]);
		attrset(A_NORMAL);
		x++;
	}
}

static uint32_t page_lines(const struct gs_out *page)
{
	uint32_t n = 0;

	for (size_t i = 0; i < page->len; i++)
		n += page->buf[i] == '\n';
	return n;
}

static void draw_page(struct screen *s)
{
	uint32_t lines = page_lines(&s->page), room = LINES > 1 ? (uint32_t)LINES - 1 : 1, at = 0;
	const char *p = s->page.buf, *end = p + s->page.len;
	char where[80];

	if (s->page_first + room > lines)
		s->page_first = lines > room ? lines - room : 0;
	for (; p < end && at < s->page_first + room; at++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);

		if (at >= s->page_first)
			draw_text((int)(at - s->page_first), 0, p, n);
		p = nl ? nl + 1 : end;
	}
	draw_bar(LINES - 1, (attr_t)COLOR_PAIR(PAIR_BAR));
	snprintf(where, sizeof(where), "Esc: back   lines %u to %u of %u",
		 lines ? s->page_first + 1 : 0,
		 s->page_first + room < lines ? s->page_first + room : lines, lines);
	draw_string(LINES - 1, 0, where);
	attrset(A_NORMAL);
}

static void draw_menu(const struct screen *s)
{
	mvaddstr(HEAD_LINES, 0, " Sort by      ");
	for (unsigned int i = 0; i < GS_TOP_COLUMN_COUNT; i++) {
		char line[16];

		snprintf(line, sizeof(line), "  %-12s", gs_top_column_name(i));
		attrset(i == s->menu_at ? (attr_t)COLOR_PAIR(PAIR_SELECTED)
					: (attr_t)COLOR_PAIR(PAIR_BAR));
		draw_string(HEAD_LINES + 1 + (int)i, 0, line);
	}
	attrset(A_NORMAL);
}

static void draw(struct screen *s)
{
	erase();
	attrset(A_NORMAL);
	if (s->has_page) {
		draw_page(s);
	} else {
		draw_header(s);
		draw_table(s);
		if (s->menu)
			draw_menu(s);
		draw_keys(s);
	}
	refresh();
}

static void note_selection(struct screen *s)
{
	s->has_key = s->selected < n_rows(s);
	if (s->has_key)
		s->selected_key =
			gs_top_row_key(s->t->view.group, gs_top_rows_at(s->t->rows, s->selected));
}

/* The cursor stays on its row, wherever that is now. At the top it stays at the top. */
static void find_selection(struct screen *s)
{
	if (!s->has_key || s->selected == 0)
		return;
	for (uint32_t i = 0; i < n_rows(s); i++) {
		struct gs_top_key k =
			gs_top_row_key(s->t->view.group, gs_top_rows_at(s->t->rows, i));

		if (gs_top_key_equal(s->t->view.group, &k, &s->selected_key)) {
			s->selected = i;
			return;
		}
	}
}

static void note_time(struct screen *s)
{
	time_t now = time(NULL);
	struct tm tm;

	if (!localtime_r(&now, &tm) || !strftime(s->read_at, sizeof(s->read_at), "%H:%M:%S", &tm))
		s->read_at[0] = '\0';
}

/* Reading takes what it takes; the pause after it is at least three times as long, so that top never
 * takes more than a quarter of a CPU. */
static void read_anew(struct screen *s)
{
	int64_t pause;
	int r;

	note_selection(s);
	r = gs_top_refresh(s->t, &s->err);
	if (r < 0) {
		s->failed = s->frozen = true;
		snprintf(s->message, sizeof(s->message), "%.255s", s->err.text);
		return;
	}
	note_time(s);
	if (r == 0)
		find_selection(s);
	if (s->frozen)
		snprintf(s->message, sizeof(s->message),
			 "Read anew at %s for this; the picture is frozen again", s->read_at);
	pause = 3 * s->t->header.read_ns;
	s->next_ns = gs_now_ns() + (pause > s->t->a->delay_ns ? pause : s->t->a->delay_ns);
}

static void reorder(struct screen *s)
{
	note_selection(s);
	gs_top_reorder(s->t);
	find_selection(s);
}

static void sort_by(struct screen *s, enum gs_top_column c)
{
	s->t->view.column = c;
	reorder(s);
}

/* Other groups cannot be read any more; the last picture stays. */
static bool ended(struct screen *s)
{
	if (s->failed)
		snprintf(s->message, sizeof(s->message),
			 "The process has ended: this is the last picture, it cannot be regrouped");
	return s->failed;
}

/* A new table: what was selected is no row of it. */
static void change_group(struct screen *s, enum gs_top_group g)
{
	s->t->view.group = g;
	s->t->view.column = g == GS_TOP_SINGLE ? GS_TOP_WAIT : GS_TOP_COUNT;
	s->t->view.invert = false;
	s->selected = s->first = 0;
	s->has_key = false;
	read_anew(s);
}

static void next_group(struct screen *s, bool keep_scope)
{
	if (ended(s))
		return;
	s->t->view.has_scope = s->t->view.has_scope && keep_scope;
	change_group(s, (s->t->view.group + 1) % GS_TOP_GROUP_COUNT);
}

static void open_page(struct screen *s)
{
	gs_out_deinit(&s->page);
	gs_out_init_mem(&s->page);
	s->page_first = 0;
	s->has_page = true;
}

static void open_row(struct screen *s)
{
	const struct gs_top_row *row;
	enum gs_top_group g = s->t->view.group;
	struct gs_err err = { 0 };
	int r;

	if (s->selected >= n_rows(s))
		return;
	row = gs_top_rows_at(s->t->rows, s->selected);
	if (g == GS_TOP_BY_CREATOR || g == GS_TOP_BY_STATE) {
		if (ended(s))
			return;
		s->t->view.scope = gs_top_row_key(g, row);
		s->t->view.scope_group = g;
		s->t->view.has_scope = true;
		change_group(s, GS_TOP_SINGLE);
		return;
	}
	open_page(s);
	if (g == GS_TOP_BY_STACK && row->count > 1)
		gs_out_printf(&s->page,
			      "%" PRIu64
			      " goroutines have this stack; this is the oldest of them\n\n",
			      row->count);
	r = gs_top_detail(s->t, row->id, &s->page, &err);
	if (r == 0)
		return;
	gs_out_printf(&s->page, "goroutine  %" PRIu64 "\n%s. Its last stack:\n", row->id,
		      r < 0 ? err.text : "It has ended");
	gs_top_row_detail(row, &s->page);
}

static void go_back(struct screen *s)
{
	if (s->t->view.filter[0]) {
		s->t->view.filter[0] = '\0';
		reorder(s);
		return;
	}
	if (!s->t->view.has_scope || ended(s))
		return;
	s->t->view.has_scope = false;
	change_group(s, s->t->view.scope_group);
}

static void search_from(struct screen *s, uint32_t from)
{
	uint32_t n = n_rows(s);

	if (!s->search[0])
		return;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (from + i) % n;

		if (gs_top_row_contains(gs_top_rows_at(s->t->rows, at), s->search)) {
			s->selected = at;
			return;
		}
	}
	snprintf(s->message, sizeof(s->message), "Not found: %s", s->search);
}

static void open_prompt(struct screen *s, enum prompt p)
{
	s->prompt = p;
	s->prompt_from = s->selected;
	snprintf(s->before_prompt, sizeof(s->before_prompt), "%s", s->t->view.filter);
	if (p == PROMPT_SEARCH)
		s->search[0] = '\0';
}

/* Cut the last character, all its bytes. */
static void rub_out(char *text)
{
	size_t n = strlen(text);

	while (n && ((unsigned char)text[--n] & 0xc0) == 0x80)
		;
	text[n] = '\0';
}

static void prompt_changed(struct screen *s)
{
	if (s->prompt == PROMPT_FILTER)
		reorder(s);
	else
		search_from(s, s->prompt_from);
}

static void prompt_key(struct screen *s, int kind, wint_t key)
{
	char *text = s->prompt == PROMPT_SEARCH ? s->search : s->t->view.filter;
	size_t n = strlen(text);
	char bytes[MB_LEN_MAX];
	int len;

	if (kind == KEY_CODE_YES && key != KEY_BACKSPACE && key != KEY_ENTER)
		return;
	if (kind != KEY_CODE_YES && key == KEY_ESCAPE) {
		snprintf(s->t->view.filter, sizeof(s->t->view.filter), "%s", s->before_prompt);
		s->prompt = PROMPT_NONE;
		reorder(s);
	} else if (key == '\n' || key == '\r' || key == KEY_ENTER) {
		s->prompt = PROMPT_NONE;
	} else if (key == KEY_BACKSPACE || key == 127 || key == 8) {
		rub_out(text);
		prompt_changed(s);
	} else if (key >= 32 && (len = wctomb(bytes, (wchar_t)key)) > 0 &&
		   n + (size_t)len < GS_TOP_FILTER_MAX) {
		memcpy(text + n, bytes, (size_t)len);
		text[n + (size_t)len] = '\0';
		prompt_changed(s);
	}
}

static void move_by(struct screen *s, int64_t by)
{
	int64_t at = (int64_t)s->selected + by, last = (int64_t)n_rows(s) - 1;

	at = at > last ? last : at;
	s->selected = at < 0 ? 0 : (uint32_t)at;
}

/* @return whether the key moves. */
static bool move_key(wint_t key, int64_t page, int64_t *ret)
{
	switch (key) {
	case KEY_UP:
		*ret = -1;
		return true;
	case KEY_DOWN:
		*ret = 1;
		return true;
	case KEY_PPAGE:
		*ret = -page;
		return true;
	case KEY_NPAGE:
		*ret = page;
		return true;
	case KEY_HOME:
		*ret = -(int64_t)UINT32_MAX;
		return true;
	case KEY_END:
		*ret = UINT32_MAX;
		return true;
	default:
		return false;
	}
}

static void page_key(struct screen *s, bool code, wint_t key)
{
	int64_t by, at;

	if (code && move_key(key, LINES - 2, &by)) {
		at = (int64_t)s->page_first + by;
		s->page_first = at < 0 ? 0 : at > INT32_MAX ? INT32_MAX : (uint32_t)at;
	} else if (!code && (key == 'j' || key == ' ')) {
		s->page_first++;
	} else if (!code && key == 'k') {
		s->page_first -= s->page_first > 0;
	} else if ((code && (key == KEY_BACKSPACE || key == KEY_F(10))) || !code) {
		s->has_page = false;
	}
}

static void menu_key(struct screen *s, bool code, wint_t key)
{
	unsigned int n = GS_TOP_COLUMN_COUNT;

	if (code && key == KEY_UP) {
		s->menu_at = (s->menu_at + n - 1) % n;
	} else if (code && key == KEY_DOWN) {
		s->menu_at = (s->menu_at + 1) % n;
	} else if (key == '\n' || key == '\r' || (code && key == KEY_ENTER)) {
		s->menu = false;
		sort_by(s, s->menu_at);
	} else if (!code || key == KEY_F(10)) {
		s->menu = false;
	}
}

static void open_menu(struct screen *s)
{
	s->menu = true;
	s->menu_at = s->t->view.column;
}

static void toggle_freeze(struct screen *s)
{
	if (s->failed)
		return;
	s->frozen = !s->frozen;
	if (!s->frozen)
		read_anew(s);
}

static void toggle_system(struct screen *s)
{
	if (s->failed)
		return;
	s->t->view.system = !s->t->view.system;
	read_anew(s);
}

static void open_help(struct screen *s)
{
	open_page(s);
	gs_out_str(&s->page, help_text);
}

static void function_key(struct screen *s, wint_t key)
{
	int64_t by;

	if (move_key(key, list_lines(), &by))
		move_by(s, by);
	else if (key == KEY_F(1))
		open_help(s);
	else if (key == KEY_F(3))
		open_prompt(s, PROMPT_SEARCH);
	else if (key == KEY_F(4))
		open_prompt(s, PROMPT_FILTER);
	else if (key == KEY_F(5))
		next_group(s, true);
	else if (key == KEY_F(6))
		open_menu(s);
	else if (key == KEY_F(10))
		s->quit = true;
	else if (key == KEY_ENTER)
		open_row(s);
	else if (key == KEY_BACKSPACE)
		go_back(s);
}

static void letter_key(struct screen *s, wint_t key)
{
	switch (key) {
	case 'q':
	case 'Q':
	case 3: /* Ctrl-C, should the terminal hand it over */
		s->quit = true;
		break;
	case 'h':
	case '?':
		open_help(s);
		break;
	case '/':
		open_prompt(s, PROMPT_SEARCH);
		break;
	case '\\':
		open_prompt(s, PROMPT_FILTER);
		break;
	case 'n':
		search_from(s, s->selected + 1);
		break;
	case 'g':
		next_group(s, false);
		break;
	case '<':
	case '>':
		open_menu(s);
		break;
	case 'C':
	case 'P':
	case 'M':
		sort_by(s, GS_TOP_COUNT);
		break;
	case 'T':
		sort_by(s, GS_TOP_WAIT);
		break;
	case 'S':
		sort_by(s, GS_TOP_STATE);
		break;
	case 'N':
		sort_by(s, GS_TOP_FUNCTION);
		break;
	case 'B':
		sort_by(s, GS_TOP_CREATOR);
		break;
	case 'I':
		s->t->view.invert = !s->t->view.invert;
		reorder(s);
		break;
	case ' ':
	case 'z':
	case 'Z':
		toggle_freeze(s);
		break;
	case 'K':
		toggle_system(s);
		break;
	case 'r':
		if (!s->failed)
			read_anew(s);
		break;
	case 'j':
		move_by(s, 1);
		break;
	case 'k':
		move_by(s, -1);
		break;
	case '\n':
	case '\r':
		open_row(s);
		break;
	case KEY_ESCAPE:
	case 127:
	case 8:
		go_back(s);
		break;
	default:
		break;
	}
}

static void act(struct screen *s, int kind, wint_t key)
{
	bool code = kind == KEY_CODE_YES;

	s->message[0] = '\0';
	if (code && key == KEY_RESIZE)
		return;
	if (s->prompt)
		prompt_key(s, kind, key);
	else if (s->has_page)
		page_key(s, code, key);
	else if (s->menu)
		menu_key(s, code, key);
	else if (code)
		function_key(s, key);
	else
		letter_key(s, key);
}

static void loop(struct screen *s)
{
	int64_t d = s->t->a->common.duration_ns, end = d ? gs_now_ns() + d : INT64_MAX;

	while (!s->quit && !gs_top_interrupted()) {
		int64_t now = gs_now_ns(), wait;
		wint_t key;
		int kind;

		if (now >= end)
			return;
		/* What is being typed or read is not pulled away. */
		if (!s->frozen && !s->has_page && !s->menu && now >= s->next_ns) {
			read_anew(s);
			now = gs_now_ns();
		}
		draw(s);
		wait = s->frozen || s->has_page || s->menu ? 1000000000 : s->next_ns - now;
		wait = wait > end - now ? end - now : wait;
		timeout(wait <= 0 ? 0 : wait > 1000000000 ? 1000 : (int)(wait / 1000000) + 1);
		kind = get_wch(&key);
		if (kind != ERR)
			act(s, kind, key);
	}
}

/* htop's colours: black on green for titles, black on cyan for the selection. */
static void set_colours(void)
{
	const char *no = getenv("NO_COLOR");

	if (!has_colors() || (no && *no))
		return;
	start_color();
	use_default_colors();
	init_pair(PAIR_BAR, COLOR_BLACK, COLOR_GREEN);
	init_pair(PAIR_SELECTED, COLOR_BLACK, COLOR_CYAN);
	init_pair(PAIR_RUNNING, COLOR_GREEN, -1);
	init_pair(PAIR_RUNNABLE, COLOR_YELLOW, -1);
	init_pair(PAIR_ALARM, COLOR_RED, -1);
}

static int open_terminal(struct screen *s, struct gs_err *err)
{
	const char *term = getenv("TERM");

	// ncurses would open a terminal that cannot move its cursor, and write everything into one line
	if (term && strcmp(term, "dumb") != 0 && strcmp(term, "unknown") != 0)
		s->terminal = newterm(NULL, stdout, stdin);
	if (!s->terminal)
		return gs_fail(
			err, -ENOTTY, 0,
			"cannot use this terminal (TERM is \"%s\"). Set TERM, or add --batch",
			term ? term : "");
	set_escdelay(25);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	curs_set(0);
	set_colours();
	return 0;
}

int gs_top_screen(struct gs_top *t)
{
	struct screen s = { .t = t };
	struct gs_err err = { 0 };
	int r;

	gs_out_init_mem(&s.page);
	/* The first picture before the screen is touched: what fails at once is told on stderr. */
	r = gs_top_refresh(t, &err);
	if (r >= 0)
		r = open_terminal(&s, &err);
	if (r < 0)
		return gs_report(&t->a->common, &err, "cannot watch %s", t->a->common.target);
	note_time(&s);
	s.next_ns = gs_now_ns() + t->a->delay_ns;
	loop(&s);
	endwin();
	delscreen(s.terminal);
	gs_out_deinit(&s.page);
	return s.failed ? gs_report(&t->a->common, &s.err, NULL) : GS_EXIT_OK;
}
