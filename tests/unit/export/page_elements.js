// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
// As much of a browser's page as the scripts of our HTML files use. Tests put the page's own elements and what they do to it after this.
const fs = require('fs'), vm = require('vm');
class Element {
  constructor(tag) { Object.assign(this, { tag, children: [], attributes: {}, dataset: {}, style: {}, on: {}, own: '' }); }
  setAttribute(k, v) {
    this.attributes[k] = String(v);
    if (k.startsWith('data-')) this.dataset[k.slice(5)] = String(v);
  }
  appendChild(e) { this.children.push(e); e.parentNode = this; return e; }
  addEventListener(k, f) { this.on[k] = f; }
  set textContent(t) { this.own = String(t); this.children = []; }
  get textContent() { return this.own + this.children.map((c) => c.textContent).join(''); }
  closest() { let e = this; while (e && !(e.attributes.class || '').startsWith('box')) e = e.parentNode; return e; }
  focus() { document.activeElement = this; }
}
