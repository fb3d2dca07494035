// A chart: uPlot with the page's colours, marks of steps and trips, and values at the cursor.
import { html, useEffect, useLayoutEffect, useRef, useState } from './lib.js';
import uPlot from '../vendor/uplot.mjs';

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const two = (number) => String(number).padStart(2, '0');

/** 24 hours, and the day where more than a day is shown. */
function times(plot, splits) {
  const spread = plot.scales.x.max - plot.scales.x.min;
  return splits.map((seconds) => {
    const at = new Date(seconds * 1000);
    const hours = `${two(at.getHours())}:${two(at.getMinutes())}`;
    if (spread > 2 * 86400) return `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    return spread < 900 && at.getSeconds() ? `${hours}:${two(at.getSeconds())}` : hours;
  });
}

const powers = (plot, _, min, max) => {
  const found = [];
  for (let power = Math.round(Math.log10(min)); power <= Math.round(Math.log10(max)); power++) found.push(10 ** power);
  return found;
};

/** Draws a line for each step, and one with a triangle for each trip. */
const marksOf = (marks) => (plot) => {
  const { ctx, bbox } = plot;
  const unit = devicePixelRatio;
  ctx.save();
  for (const mark of marks()) {
    const seconds = mark.at_ms / 1000;
    if (seconds < plot.scales.x.min || seconds > plot.scales.x.max) continue;
    const x = Math.round(plot.valToPos(seconds, 'x', true));
    const isTrip = mark.kind === 'trip' || mark.kind === 'rollback';
    ctx.strokeStyle = ctx.fillStyle = css(isTrip ? '--alarm' : '--edge');
    ctx.lineWidth = isTrip ? 1.5 * unit : unit;
    ctx.setLineDash(isTrip ? [] : [2 * unit, 3 * unit]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (isTrip) {
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x - 5 * unit, bbox.top - 8 * unit);
      ctx.lineTo(x + 5 * unit, bbox.top - 8 * unit);
      ctx.fill();
    }
  }
  ctx.restore();
};

/**
 * `series`: `{ name, color, fill?, dash?, width? }` in drawing order. `values`: one column for each, after the times.
 * `span`: first and last time, in seconds. `top`: where the scale ends; null: at the maximum. `hover` gets the index at the cursor, or null.
 */
export function Plot({ series, values, span, marks, top, height, axis, log, label, hover }) {
  const box = useRef(null);
  const plot = useRef(null);
  const now = useRef({});
  now.current = { marks, span, hover, top };
  const [theme, setTheme] = useState(0);

  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const changed = () => setTheme((old) => old + 1);
    dark.addEventListener('change', changed);
    return () => dark.removeEventListener('change', changed);
  }, []);

  useLayoutEffect(() => {
    const grid = { stroke: css('--line'), width: 1 };
    const text = { stroke: css('--muted'), grid, ticks: { show: false }, font: `12px ${css('--sans')}` };
    const options = {
      width: box.current.clientWidth,
      height,
      padding: [10, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { time: true, range: () => now.current.span },
        y: log ? { distr: 3, range: (_, min, max) => (min > 0 ? [10 ** Math.floor(Math.log10(min)), 10 ** Math.ceil(Math.log10(max * 1.01))] : [0.1, 10]) } : { range: (_, __, max) => [0, max > 0 ? (now.current.top ?? max) * 1.08 : 1] },
      },
      axes: [
        { ...text, values: times, size: 26, gap: 4, space: 70 },
        { ...text, size: 60, gap: 6, ...(log && { splits: powers }), values: (_, splits) => splits.map((value) => (value == null ? '' : axis(value))) },
      ],
      series: [{}, ...series.map((each) => ({
        // A line of the background parts the areas: their colours need not.
        stroke: css(each.fill ? '--surface' : each.color),
        fill: each.fill ? css(each.color) : undefined,
        width: each.width ?? (each.fill ? 1 : 1.5),
        dash: each.dash,
        points: { show: false },
      }))],
      hooks: {
        draw: [marksOf(() => now.current.marks)],
        setCursor: [(it) => now.current.hover(it.cursor.idx ?? null)],
      },
    };
    plot.current = new uPlot(options, values, box.current);
    const resized = new ResizeObserver(([{ contentRect }]) => plot.current.setSize({ width: contentRect.width, height }));
    resized.observe(box.current);
    return () => {
      resized.disconnect();
      plot.current.destroy();
    };
  }, [theme, height]);

  useEffect(() => plot.current.setData(values), [values]);

  return html`<div class="plot" ref=${box} role="img" aria-label=${label} />`;
}
