/** What the page finds on `window`: the little of Plotly that it uses, and its own modules. */

interface PlotlyAxis {
  type: string;
  range: [number, number];
  _offset: number;
  /** Pixels from the axis's offset; missing until the chart is laid out. */
  d2p?: (value: number) => number;
}

interface PlotlyLayout {
  width: number;
  height: number;
  xaxis: PlotlyAxis;
  yaxis: PlotlyAxis;
  _size: { l: number; t: number; w: number; h: number };
  meta?: string;
}

interface PlotlyPoint {
  text: string;
}

interface PlotlyChart extends HTMLElement {
  data?: { customdata: [number, number, number, number][] }[];
  layout: PlotlyLayout;
  _fullLayout?: PlotlyLayout;
  on(event: "plotly_click", listener: (click: { points: [PlotlyPoint] }) => void): void;
}

interface Plotly {
  Plots: { resize(chart: PlotlyChart): void };
  relayout(chart: PlotlyChart, layout: object): Promise<void>;
  toImage(chart: PlotlyChart, options: object): Promise<string>;
  update(chart: PlotlyChart, data: object, layout: object, traces: number[]): Promise<void>;
}

interface Window {
  /** Loaded by Gradio with the first chart. */
  Plotly?: Plotly;
  /** The modules, for the scripts of Gradio's events. */
  lmsteer: Promise<typeof import("./main.js")>;
}
