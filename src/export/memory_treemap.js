// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
// The treemap in the HTML file of mem. The first half knows no page and is tested on its own; the second
// half draws. All text goes to the page as text, never as markup: names are foreign.
'use strict';

// ---- the map ----

const GROUPS = ['Go heap', 'goroutine stacks', 'Go runtime', 'program', 'libraries and plugins', 'C', 'files and shared',
  'anonymous', 'other'];
const SIZES = ['resident', 'address space', 'huge pages'];
const HEAD = 16, PAD = 2; // of a box with boxes inside

// Nodes by one of SIZES: the whole, then each class and its parts, largest first; what no part has is "the rest".
function makeNodes(result, size) {
  const nodes = [{ name: 'all', value: 0, group: 8, parent: -1, children: [] }];
  function add(parent, node) {
    nodes.push({ note: '', frames: [], how: '', ...node, parent, children: [] });
    nodes[parent].children.push(nodes.length - 1);
    return nodes.length - 1;
  }
  const classes = result.classes.map((c) => ({ c, value: c.weights[size] })).filter((x) => x.value > 0)
    .sort((a, b) => b.value - a.value);
  for (const { c, value } of classes) {
    const at = add(0, { name: c.words, id: c.name, how: c.how, group: c.group, value });
    nodes[0].value += value;
    const parts = c.parts.map((p) => ({ p, value: p.weights[size] })).filter((x) => x.value > 0)
      .sort((a, b) => b.value - a.value);
    let rest = value;
    for (const { p, value: v } of parts) {
      add(at, { name: p.name, note: p.note, frames: p.frames, how: c.how, group: c.group, value: v });
      rest -= v;
    }
    if (parts.length && rest > 0)
      add(at, { name: 'the rest', how: c.how, group: c.group, value: rest });
  }
  return nodes;
}

// The worst ratio of sides in a row of @sum, whose largest and smallest areas are given, along @side.
function worst(sum, largest, smallest, side) {
  const s2 = sum * sum, w2 = side * side;
  return Math.max(w2 * largest / s2, s2 / (w2 * smallest));
}

// Squarified treemap (Bruls, Huizing, van Wijk): areas in proportion to @values (largest first, all positive),
// which together fill the rectangle.
function squarify(values, x, y, w, h) {
  const total = values.reduce((a, b) => a + b, 0);
  const scale = total > 0 ? w * h / total : 0;
  const rects = [];
  for (let i = 0; i < values.length;) {
    const side = Math.min(w, h);
    let n = 1, sum = values[i] * scale;
    while (i + n < values.length) {
      const next = values[i + n] * scale;
      if (worst(sum + next, values[i] * scale, next, side) > worst(sum, values[i] * scale, values[i + n - 1] * scale, side))
        break;
      sum += next;
      n++;
    }
    const thick = side > 0 ? sum / side : 0;
    let at = 0;
    for (let k = 0; k < n; k++) {
      const long = sum > 0 ? values[i + k] * scale / sum * side : 0;
      rects.push(w < h ? { x: x + at, y, w: long, h: thick } : { x, y: y + at, w: thick, h: long });
      at += long;
    }
    if (w < h) {
      y += thick;
      h = Math.max(h - thick, 0);
    } else {
      x += thick;
      w = Math.max(w - thick, 0);
    }
    i += n;
  }
  return rects;
}

// What is to be drawn with @zoom filling the rectangle: outer boxes before those inside of them.
function layout(nodes, zoom, width, height, minimum) {
  const boxes = [];
  const work = [{ index: zoom, x: 0, y: 0, w: width, h: height }];
  while (work.length) {
    const b = work.shift();
    const node = nodes[b.index];
    const head = b.index !== 0;
    const nested = node.children.length > 0 && (b.index === zoom || (b.w > 60 && b.h > 44));
    if (head)
      boxes.push({ ...b, nested });
    if (!nested)
      continue;
    const p = head ? PAD : 0, top = head ? HEAD : 0;
    const rects = squarify(node.children.map((i) => nodes[i].value), b.x + p, b.y + top,
      Math.max(b.w - 2 * p, 0), Math.max(b.h - top - p, 0));
    node.children.forEach((i, k) => {
      if (rects[k].w >= minimum && rects[k].h >= minimum)
        work.push({ index: i, ...rects[k] });
    });
  }
  return boxes;
}

// Where an arrow key leads from a box: to the nearest one whose middle lies that way, of those beside it; down from a
// box with boxes inside is its first one.
function neighbour(boxes, from, key) {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const way = ways[key], a = boxes[from];
  let best = -1, least = Infinity;
  if (!way || !a)
    return from;
  boxes.forEach((b, i) => {
    const dx = b.x + b.w / 2 - (a.x + a.w / 2), dy = b.y + b.h / 2 - (a.y + a.h / 2);
    const along = dx * way[0] + dy * way[1], across = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
    const far = along + 2 * across;
    if (i !== from && !b.nested && along > 0.5 && far < least) {
      least = far;
      best = i;
    }
  });
  return best < 0 ? from : best;
}

function formatBytes(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let v = Math.abs(bytes), u = 0;
  for (; v >= 1023.95 && u + 1 < units.length; u++)
    v /= 1024;
  return (bytes < 0 ? '-' : '') + v.toFixed(u === 0 || v >= 99.95 ? 0 : 1) + ' ' + units[u];
}

function formatShare(part, whole) {
  return whole > 0 ? (100 * part / whole).toFixed(1) + ' %' : '–';
}

function describe(nodes, index) {
  const n = nodes[index];
  let text = n.name;
  if (n.note)
    text += `, ${n.note}`;
  text += ` — ${formatBytes(n.value)}, ${formatShare(n.value, nodes[0].value)} of all`;
  if (n.parent > 0)
    text += `, ${formatShare(n.value, nodes[n.parent].value)} of ${nodes[n.parent].name}`;
  if (n.how)
    text += ` (${n.how})`;
  return text;
}

// Hue by group, shade by name.
function colour(group, name) {
  const hues = [28, 50, 265, 200, 160, 95, 225, 350, 0];
  let h = 0;
  for (let i = 0; i < name.length; i++)
    h = (h * 31 + name.charCodeAt(i)) >>> 0;
  return `hsl(${hues[group]}, ${group === 8 ? 0 : 70}%, ${68 + h % 12}%)`;
}

function fit(name, characters) {
  if (name.length <= characters)
    return name;
  return characters < 4 ? '' : name.slice(0, characters - 1) + '…';
}

// ---- the page ----

function startPage() {
  const CHARACTER = 6.2, NS = 'http://www.w3.org/2000/svg';
  const byId = (id) => document.getElementById(id);
  const result = JSON.parse(byId('result').textContent);
  const svg = byId('map'), info = byId('info');
  let size = result.resident ? 0 : 1, nodes = makeNodes(result, size), zoom = 0, boxes = [], groups = [], current = 0;

  function add(parent, tag, attributes, text, ns) {
    const e = ns ? document.createElementNS(ns, tag) : document.createElement(tag);
    for (const name of Object.keys(attributes))
      e.setAttribute(name, attributes[name]);
    if (text !== undefined)
      e.textContent = text;
    parent.appendChild(e);
    return e;
  }

  function addFrames(parent, frames) {
    if (!frames.length)
      return;
    const list = add(parent, 'ul', { class: 'frames' });
    for (const f of frames)
      add(list, 'li', {}, f);
  }

  function tell(index) {
    info.textContent = '';
    add(info, 'div', {}, describe(nodes, index));
    addFrames(info, nodes[index].frames || []);
  }

  function drawBox(b, i) {
    const n = nodes[b.index];
    const g = add(svg, 'g', { 'data-box': i, class: 'box', tabindex: i === current ? 0 : -1, role: 'button',
      'aria-label': describe(nodes, b.index) }, undefined, NS);
    add(g, 'title', {}, describe(nodes, b.index), NS);
    add(g, 'rect', { x: b.x.toFixed(1), y: b.y.toFixed(1), width: Math.max(b.w, 0.5).toFixed(1),
      height: Math.max(b.h, 0.5).toFixed(1), rx: 1, fill: colour(n.group, n.name) }, undefined, NS);
    const long = `${n.name}  ${formatBytes(n.value)}`, room = Math.floor((b.w - 6) / (b.nested ? 1.15 * CHARACTER : CHARACTER));
    const text = b.h >= 14 ? fit(long.length <= room ? long : n.name, room) : '';
    if (text)
      add(g, 'text', { x: (b.x + 4).toFixed(1), y: (b.y + 12).toFixed(1), class: b.nested ? 'head' : '' }, text, NS);
    groups[i] = g;
  }

  function draw() {
    const width = svg.parentNode.clientWidth, height = Math.max(Math.min(window.innerHeight * 0.6, 620), 240);
    boxes = layout(nodes, zoom, width, height, 1.5);
    if (!boxes[current])
      current = 0;
    svg.textContent = '';
    svg.setAttribute('width', width);
    svg.setAttribute('height', height);
    groups = [];
    boxes.forEach(drawBox);
  }

  function zoomTo(index) {
    zoom = index;
    current = 0;
    draw();
    tell(index);
  }

  function zoomOut() {
    if (zoom > 0)
      zoomTo(nodes[zoom].parent);
  }

  // Parts have nothing inside; entering one shows its class.
  function enter(i) {
    const index = boxes[i].index;
    const to = nodes[index].children.length ? index : nodes[index].parent;
    if (to === zoom)
      tell(index);
    else
      zoomTo(to);
  }

  function focusOn(i) {
    if (groups[current])
      groups[current].setAttribute('tabindex', -1);
    current = i;
    groups[i].setAttribute('tabindex', 0);
    groups[i].focus();
    tell(boxes[i].index);
  }

  function boxOf(event) {
    const g = event.target.closest('g.box');
    return g ? Number(g.dataset.box) : -1;
  }

  function setSize(to) {
    size = to;
    nodes = makeNodes(result, size);
    sizeButtons.forEach((b, i) => b && b.setAttribute('aria-pressed', i === size));
    zoomTo(0);
  }

  svg.addEventListener('click', (event) => {
    const i = boxOf(event);
    if (i >= 0)
      enter(i);
  });
  svg.addEventListener('mouseover', (event) => {
    const i = boxOf(event);
    if (i >= 0)
      tell(boxes[i].index);
  });
  svg.addEventListener('focusin', (event) => {
    const i = boxOf(event);
    if (i >= 0)
      tell(boxes[i].index);
  });
  svg.addEventListener('keydown', (event) => {
    const i = boxOf(event);
    if (i < 0)
      return;
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      enter(i);
      if (groups[current])
        groups[current].focus();
    } else if (event.key.startsWith('Arrow')) {
      event.preventDefault();
      focusOn(neighbour(boxes, i, event.key));
    }
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' || event.key === 'Backspace')
      zoomOut();
  });
  byId('out').addEventListener('click', zoomOut);
  window.addEventListener('resize', draw);

  document.title = `memory of ${result.title}`;
  byId('title').textContent = result.title;
  byId('about').textContent = result.about;
  for (const v of result.verdict) {
    add(byId('verdict'), 'p', {}, v.text);
    addFrames(byId('verdict'), v.frames);
    if (v.advice)
      add(byId('verdict'), 'p', { class: 'advice' }, '→ ' + v.advice);
  }
  const sizeButtons = SIZES.map((name, i) => {
    if (!result.classes.some((c) => c.weights[i] > 0))
      return null;
    const b = add(byId('sizes'), 'button', { type: 'button', 'aria-pressed': i === size }, name);
    b.addEventListener('click', () => setSize(i));
    return b;
  });
  for (const group of [...new Set(result.classes.map((c) => c.group))].sort()) {
    const mark = add(byId('legend'), 'span', {}, GROUPS[group]);
    mark.style.background = colour(group, '');
  }
  if (result.growth.length) {
    add(byId('growth'), 'h2', {}, 'Growth');
    const table = add(byId('growth'), 'table', {});
    for (const g of result.growth) {
      const row = add(table, 'tr', {});
      add(row, 'td', { class: 'number' }, (g.bytes > 0 ? '+' : '') + formatBytes(g.bytes));
      add(row, 'td', {}, g.words);
    }
  }
  const head = add(byId('classes'), 'tr', {});
  for (const name of [...SIZES, 'known', 'class'])
    add(head, 'th', { class: SIZES.includes(name) ? 'number' : '' }, name);
  for (const c of result.classes) {
    const row = add(byId('classes'), 'tr', {});
    c.weights.forEach((v, i) => add(row, 'td', { class: 'number' }, i === 0 && !result.resident ? '' : formatBytes(v)));
    add(row, 'td', {}, c.how);
    add(row, 'td', {}, c.words);
  }
  if (result.incomplete.length) {
    add(byId('incomplete'), 'h2', {}, 'Incomplete');
    for (const text of result.incomplete)
      add(byId('incomplete'), 'div', {}, text);
  }
  zoomTo(0);
}

if (typeof document !== 'undefined')
  startPage();
else if (typeof module !== 'undefined')
  module.exports = { makeNodes, squarify, layout, neighbour, formatBytes, formatShare, describe, colour, fit };
