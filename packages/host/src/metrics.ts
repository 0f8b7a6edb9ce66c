import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** A program's own Prometheus registry, its metrics prefixed `understudy_`. */
export interface Metrics {
  counter<L extends string>(name: string, help: string, labels?: readonly L[]): Counter<L>
  gauge<L extends string>(name: string, help: string, labels?: readonly L[]): Gauge<L>
  /** Buckets in seconds unless given. */
  histogram<L extends string>(
    name: string,
    help: string,
    labels?: readonly L[],
    buckets?: readonly number[],
  ): Histogram<L>
  readonly contentType: string
  /** The text that `/metrics` answers. */
  text(): Promise<string>
}

export function createMetrics(program: string): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ program })
  collectDefaultMetrics({ register: registry })
  const common = <L extends string>(name: string, help: string, labels: readonly L[] = []) => ({
    name: `understudy_${name}`,
    help,
    labelNames: [...labels],
    registers: [registry],
  })
  return {
    counter: (name, help, labels) => new Counter(common(name, help, labels)),
    gauge: (name, help, labels) => new Gauge(common(name, help, labels)),
    histogram: (name, help, labels, buckets) =>
      new Histogram({ ...common(name, help, labels), ...(buckets ? { buckets: [...buckets] } : {}) }),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  }
}
