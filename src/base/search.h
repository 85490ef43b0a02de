/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_SEARCH_H
#define GS_BASE_SEARCH_H

/*
 * Binary search, as Go's sort.Search: what is sought is a place, said by a condition, so that "from here on", "the
 * last up to here" and "exactly this" are one loop, and what is compared stands where it is used.
 */

/** The first @i of [0, @n) for which @reached holds; @n if it holds for none. @reached is an expression of @i, a name
 *  that this declares; from the first that it holds for it holds for all. At most log2(@n) + 1 of them are asked, in
 *  no particular order, and @n itself never. @n, not negative, is evaluated once; the result has its type (that of int at least).
 *
 *      uint32_t at = GS_SEARCH(i, v->n, v->at[i].pc >= pc);  */
#define GS_SEARCH(i, n, reached)                                                                   \
	({                                                                                         \
		__typeof__((n) + 0) i##_lo_ = 0, i##_hi_ = (n);                                    \
                                                                                                   \
		while (i##_lo_ < i##_hi_) {                                                        \
			const __typeof__(i##_lo_) i = i##_lo_ + (i##_hi_ - i##_lo_) / 2;           \
                                                                                                   \
			if (reached)                                                               \
				i##_hi_ = i;                                                       \
			else                                                                       \
				i##_lo_ = i + 1;                                                   \
		}                                                                                  \
		i##_lo_;                                                                           \
	})

#endif
