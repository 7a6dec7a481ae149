// Which part of an image is seen, and how do wheel, mouse, fingers and keys move it?

const MOST = 16;

/** A view of an image of `width` × `height` in `element`; `onchange` draws it again. */
export class Zoom {
  /** Pixels of the screen to one of the image, and where its corner lies. */
  scale = 1;
  x = 0;
  y = 0;
  /** Whether the whole image is to stay in view when the window changes. */
  fitted = true;

  constructor(element, onchange) {
    this.element = element;
    this.onchange = onchange;
    this.observer = new ResizeObserver(() => (this.fitted ? this.fit() : onchange()));
    this.observer.observe(element);
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** Show an image of another size. */
  setSize(width, height) {
    [this.width, this.height] = [width, height];
    this.fit();
  }

  fit() {
    if (!this.width) return;
    const { clientWidth, clientHeight } = this.element;
    const gap = Math.min(32, clientWidth / 20);
    this.fitted = true;
    this.scale = Math.min((clientWidth - 2 * gap) / this.width, (clientHeight - 2 * gap) / this.height);
    this.least = Math.min(this.scale, 1) / 2;
    this.x = (clientWidth - this.width * this.scale) / 2;
    this.y = (clientHeight - this.height * this.scale) / 2;
    this.onchange();
  }

  /** Zoom by `factor` round a place of the element; without one, round its middle. */
  zoom(factor, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const scale = Math.min(MOST, Math.max(this.least, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.onchange();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.onchange();
  }

  wheel(event) {
    event.preventDefault();
    const { left, top } = this.element.getBoundingClientRect();
    if (event.shiftKey) this.pan(-event.deltaX - event.deltaY, 0);
    else this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), event.clientX - left, event.clientY - top);
  }

  /** Place in the image of an event. */
  locate(event) {
    const { left, top } = this.element.getBoundingClientRect();
    return [(event.clientX - left - this.x) / this.scale, (event.clientY - top - this.y) / this.scale];
  }

  /** Keys that zoom. Whether `event` was one. */
  key(event) {
    const factor = { "+": 1.25, "=": 1.25, "-": 0.8 }[event.key];
    if (factor && !event.ctrlKey && !event.metaKey) this.zoom(factor);
    else if (event.key === "0") this.fit();
    else if (event.key === "1") this.zoom(1 / this.scale / devicePixelRatio);
    else return false;
    return true;
  }
}

/**
 * Fingers and mouse on `zoom.element`. One pointer draws (`start`, `move`, `end`, `cancel`) where `pans(event)`
 * is false and moves the image where it is true; two fingers move and zoom, and take back what one had begun.
 */
export function trackPointers(zoom, { pans, start, move, end, cancel }) {
  const { element } = zoom;
  const pointers = new Map();
  let doing = null;
  const measure = () => {
    const [a, b] = [...pointers.values()];
    return { x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2, apart: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) };
  };
  element.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event);
    element.setPointerCapture(event.pointerId);
    if (pointers.size === 2) {
      if (doing === "draw") cancel();
      doing = measure();
    } else if (pointers.size === 1) {
      doing = pans(event) ? "pan" : "draw";
      if (doing === "draw") start(event);
    }
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return move(event, false);
    pointers.set(event.pointerId, event);
    if (doing === "draw") move(event, true);
    else if (doing === "pan") zoom.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    else if (pointers.size === 2 && doing) {
      const now = measure();
      const { left, top } = element.getBoundingClientRect();
      zoom.zoom(now.apart / (doing.apart || 1), now.x - left, now.y - top);
      zoom.pan(now.x - doing.x, now.y - doing.y);
      doing = now;
    }
  });
  for (const type of ["pointerup", "pointercancel"])
    element.addEventListener(type, (event) => {
      if (!pointers.delete(event.pointerId)) return;
      if (doing === "draw") type === "pointerup" ? end(event) : cancel();
      doing = null;
    });
}
