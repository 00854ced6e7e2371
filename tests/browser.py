"""A page as a browser shows it: headless Chromium lays it out at several widths and reports what is wrong with it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support import unavailable

_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

# Lists the faults of a document: sideways scrolling, small text, little contrast (WCAG 2.1 AA: 4.5, or 3 for large text
# and for graphics), images without a description, headings that leave out a level, a missing language or title.
_CHECKS = """
function channels(text) { return text.match(/[\\d.]+/g).map(Number); }
function luminance(color) {
  const [r, g, b] = color.map(v => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}
function ground(view, element) {
  for (let e = element; e; e = e.parentElement) {
    const color = channels(view.getComputedStyle(e).backgroundColor);
    if (color.length < 4 || color[3] > 0) return color.slice(0, 3);
  }
  return [255, 255, 255];
}
function faults(frame) {
  const [view, page] = [frame.contentWindow, frame.contentDocument];
  const found = [];
  const root = page.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} px wide`);
  if (!root.lang || !page.title) found.push("language or title is missing");
  let level = 0;
  for (const element of page.body.querySelectorAll("*")) {
    const style = view.getComputedStyle(element);
    const name = `${element.tagName} ${element.textContent.trim().slice(0, 40)}`;
    if (/auto|scroll/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1)
      found.push(`${name} scrolls sideways`);
    const box = element.getBoundingClientRect();
    if (box.right > root.clientWidth + 1) found.push(`${name} reaches ${box.right} px`);
    if (element.tagName === "IMG" && !element.alt) found.push(`${name} has no description`);
    if (/^H\\d$/.test(element.tagName)) {
      const own = Number(element.tagName[1]);
      if (own > level + 1) found.push(`${name} follows level ${level}`);
      level = own;
    }
    if (element.matches(".bar span, .legend i")) {
      const ratio = contrast(channels(style.backgroundColor).slice(0, 3), ground(view, element.parentElement));
      if (ratio < 3) found.push(`${element.className}: contrast ${ratio.toFixed(2)}`);
    }
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    const size = parseFloat(style.fontSize);
    if (size < 12) found.push(`${name}: ${size} px`);
    const needed = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const ratio = contrast(channels(style.color).slice(0, 3), ground(view, element));
    if (ratio < needed) found.push(`${name}: contrast ${ratio.toFixed(2)}`);
  }
  return found;
}
window.onload = () => {
  const frames = [...document.querySelectorAll("iframe")];
  const result = Object.fromEntries(frames.map(frame => [frame.width, faults(frame)]));
  const body = frames[0].contentDocument.body;
  result.ground = luminance(ground(frames[0].contentWindow, body));
  document.getElementById("result").textContent = JSON.stringify(result);
};
"""


def page_faults(page: str, folder: Path, *, dark: bool, widths: tuple[int, ...] = (390, 768, 1280)) -> dict[str, Any]:
    """List the faults of a page at each width, in the light or the dark colours, and the luminance of its ground."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        unavailable("no headless Chromium is installed (chromium-headless-shell)")
    frames = "".join(f'<iframe width="{w}" height="1200" srcdoc="{html.escape(page)}"></iframe>' for w in widths)
    wrapper = folder / f"wrapper-{dark}.html"
    wrapper.write_text(
        '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f'<script>{_CHECKS}</script><pre id="result"></pre>{frames}',
        encoding="utf-8",
    )
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--virtual-time-budget=5000", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run(
        [program, *options, wrapper.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None
    assert found[1], done.stderr
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result
