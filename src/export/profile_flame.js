// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
// The flame graph in a profile's HTML file. The first half knows no page and is tested on its own; the second
// half draws. All text goes to the page as text, never as markup: names are foreign.
'use strict';

// ---- the graph ----

const KINDS = ['Go', 'Go runtime', 'kernel', 'C', 'waiting', 'group'];

// Nodes from [depth, name, nanoseconds, …], parents first. A node starts where its elder sibling ends.
function makeNodes(profile) {
  const nodes = [{ name: 'all', kind: 5, depth: 0, start: 0, total: profile.total, parent: -1, filled: 0 }];
  const path = [0];
  for (let i = 0; i + 2 < profile.nodes.length; i += 3) {
    const depth = profile.nodes[i] + 1;
    const parent = path[depth - 1];
    const above = nodes[parent];
    path[depth] = nodes.length;
    nodes.push({
      name: profile.names[profile.nodes[i + 1]],
      kind: profile.kinds[profile.nodes[i + 1]],
      depth,
      start: above.start + above.filled,
      total: profile.nodes[i + 2],
      parent,
      filled: 0,
    });
    above.filled += profile.nodes[i + 2];
  }
  return nodes;
}

// What is to be drawn with @zoom filling @width: its callers in full width (dim), itself, and what is below
// it and at least @minimum wide.
function visible(nodes, zoom, width, minimum) {
  const at = nodes[zoom];
  const scale = at.total > 0 ? width / at.total : 0;
  const boxes = [];
  for (let i = at.parent; i >= 0; i = nodes[i].parent)
    boxes.unshift({ index: i, x: 0, w: width, dim: true });
  for (let i = zoom; i < nodes.length && (i === zoom || nodes[i].depth > at.depth); i++) {
    const w = nodes[i].total * scale;
    if (w >= minimum || i === zoom)
      boxes.push({ index: i, x: (nodes[i].start - at.start) * scale, w, dim: false });
  }
  return boxes;
}

// A regular expression, upper and lower case alike; what is none is searched as it stands.
function matcher(text) {
  try {
    return new RegExp(text, 'iu');
  } catch (e) {
    return new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'iu');
  }
}

// Which nodes match, and the time below any of them (a match within a match counts once).
function search(nodes, text) {
  const found = new Set();
  let total = 0, inside = -1;
  const re = matcher(text);
  for (let i = 0; text && i < nodes.length; i++) {
    if (inside >= 0 && nodes[i].depth <= nodes[inside].depth)
      inside = -1;
    if (nodes[i].parent < 0 || !re.test(nodes[i].name))
      continue;
    found.add(i);
    if (inside < 0) {
      inside = i;
      total += nodes[i].total;
    }
  }
  return { found, total };
}

function formatTime(ns) {
  const units = [['s', 1e9], ['ms', 1e6], ['µs', 1e3]];
  for (const [unit, size] of units)
    if (ns >= size)
      return (ns / size).toPrecision(ns / size >= 1000 ? 4 : 3).replace(/e.*/, '') + ' ' + unit;
  return ns + ' ns';
}

function formatShare(part, whole) {
  return whole > 0 ? (100 * part / whole).toFixed(2) + ' %' : '–';
}

// Hue by kind, shade by name, so that a function has the same colour everywhere.
function colour(kind, name) {
  let h = 0;
  for (let i = 0; i < name.length; i++)
    h = (h * 31 + name.charCodeAt(i)) >>> 0;
  const hues = [28, 95, 350, 200, 225, 0];
  const spread = [26, 25, 16, 20, 24, 0];
  const hue = (hues[kind] + h % (spread[kind] + 1)) % 360;
  const saturation = kind === 5 ? 0 : kind === 0 ? 85 : 55;
  return `hsl(${hue}, ${saturation}%, ${66 + (h >>> 8) % 10}%)`;
}

// The part of a name that fits: the inner end says more than the package's path.
function fit(name, characters) {
  if (name.length <= characters)
    return name;
  const short = name.slice(name.lastIndexOf('/') + 1);
  if (short.length <= characters)
    return short;
  return characters < 4 ? '' : short.slice(0, characters - 1) + '…';
}

function describe(nodes, index, zoom) {
  const n = nodes[index];
  let text = `${n.name} — ${formatTime(n.total)}, ${formatShare(n.total, nodes[0].total)} of all`;
  if (zoom && nodes[zoom].depth <= n.depth)
    text += `, ${formatShare(n.total, nodes[zoom].total)} of what is shown`;
  if (n.parent > 0)
    text += `, ${formatShare(n.total, nodes[n.parent].total)} of its caller`;
  const self = n.total - n.filled;
  if (self > 0 && n.filled > 0)
    text += `, ${formatTime(self)} itself`;
  return text;
}

// ---- the page ----

function startPage() {
  const ROW = 18, CHARACTER = 6.7, NS = 'http://www.w3.org/2000/svg';
  const profile = JSON.parse(document.getElementById('profile').textContent);
  const nodes = makeNodes(profile);
  const svg = document.getElementById('graph');
  const info = document.getElementById('info');
  const box = document.getElementById('search');
  const result = document.getElementById('result');
  let zoom = 0, icicle = false, hits = search(nodes, '');

  function add(parent, tag, attributes, text) {
    const e = document.createElementNS(NS, tag);
    for (const name of Object.keys(attributes))
      e.setAttribute(name, attributes[name]);
    if (text !== undefined)
      e.textContent = text;
    parent.appendChild(e);
    return e;
  }

  function drawBox(b, deepest) {
    const n = nodes[b.index];
    const y = (icicle ? n.depth : deepest - n.depth) * ROW;
    const g = add(svg, 'g', { 'data-index': b.index, class: b.dim ? 'box dim' : 'box' });
    add(g, 'title', {}, describe(nodes, b.index, zoom));
    add(g, 'rect', {
      x: b.x.toFixed(2), y, width: Math.max(b.w - 0.5, 0.3).toFixed(2), height: ROW - 1, rx: 1,
      fill: hits.found.has(b.index) ? '#d050ff' : colour(n.kind, n.name),
    });
    const text = fit(n.name, Math.floor((b.w - 4) / CHARACTER));
    if (text)
      add(g, 'text', { x: (b.x + 3).toFixed(2), y: y + ROW - 6 }, text);
  }

  function draw() {
    const width = svg.parentNode.clientWidth;
    const boxes = visible(nodes, zoom, width, 0.3);
    const deepest = boxes.reduce((most, b) => Math.max(most, nodes[b.index].depth), 0);
    svg.textContent = '';
    svg.setAttribute('width', width);
    svg.setAttribute('height', (deepest + 1) * ROW);
    for (const b of boxes)
      drawBox(b, deepest);
    result.textContent = box.value ? `${formatShare(hits.total, nodes[0].total)} match` : '';
  }

  function zoomTo(index) {
    zoom = index;
    draw();
    info.textContent = describe(nodes, zoom, 0);
  }

  function indexOf(event) {
    const g = event.target.closest('g.box');
    return g ? Number(g.dataset.index) : -1;
  }

  svg.addEventListener('click', (event) => {
    const index = indexOf(event);
    if (index >= 0)
      zoomTo(index);
  });
  svg.addEventListener('mouseover', (event) => {
    const index = indexOf(event);
    if (index >= 0)
      info.textContent = describe(nodes, index, zoom);
  });
  box.addEventListener('input', () => {
    hits = search(nodes, box.value);
    draw();
  });
  document.getElementById('reset').addEventListener('click', () => zoomTo(0));
  document.getElementById('turn').addEventListener('click', () => {
    icicle = !icicle;
    draw();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      box.value = '';
      hits = search(nodes, '');
      zoomTo(0);
    } else if (event.key === '/' && document.activeElement !== box) {
      event.preventDefault();
      box.focus();
    }
  });
  window.addEventListener('resize', draw);

  document.title = profile.title;
  document.getElementById('title').textContent = profile.title;
  document.getElementById('about').textContent = profile.about;
  const legend = document.getElementById('legend');
  for (const kind of [...new Set(profile.kinds)].sort()) {
    const mark = document.createElement('span');
    mark.style.background = colour(kind, '');
    mark.textContent = KINDS[kind];
    legend.appendChild(mark);
  }
  zoomTo(0);
  window.scrollTo(0, document.body.scrollHeight); // the root is at the bottom
}

if (typeof document !== 'undefined')
  startPage();
else if (typeof module !== 'undefined')
  module.exports = { makeNodes, visible, search, matcher, formatTime, formatShare, colour, fit, describe };
