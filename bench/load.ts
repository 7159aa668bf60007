// Measures the service under load: see `USAGE`.

import { integerOption, UsageError, wrongValue } from "../src/cli/arguments.ts";
import { markdownTable } from "../tools/markdown_table.ts";
import { runScript } from "../tools/script.ts";
import { type Load, measureCapacity, offerLoad } from "./load_client.ts";
import { memoryOf, type Served, startServer } from "./load_server.ts";

const USAGE = `Measures the service under load: pictures, refusals, latencies and memory.

    deno run --allow-all bench/load.ts [options]

Starts \`deno task serve\` with the embedded model in a process of its own, finds how many pictures a second
it draws for four clients that come again as soon as they have one, and then sends requests at multiples
of that rate, whether or not those before were answered.

--loads list    multiples of what the service can do, separated by commas; default: 1,4,20
--seconds n     seconds of each load; default: 20
--steps n       steps of a picture; default: those of the model
--serve args    more options of \`deno task serve\`, such as "--threads 1"
--url address   measures a service that runs already, such as one with several workers
--pids list     processes of that service, for their memory (Linux)`;

/** Options of a measurement. */
interface Options {
  readonly loads: readonly number[];
  readonly seconds: number;
  readonly steps: number | undefined;
  readonly serve: readonly string[];
  readonly url: string | undefined;
  readonly pids: readonly number[];
}

async function measure(options: Options): Promise<void> {
  const { url, pids, steps, seconds } = options;
  await using served: Served = url === undefined
    ? await startServer(options.serve)
    : { url, pids, [Symbol.asyncDispose]: () => Promise.resolve() };
  const request = { url: served.url, steps };
  const capacity = await measureCapacity(request, seconds);
  console.log(`Capacity: ${capacity.toFixed(2)} pictures a second\n`);
  const rows: string[][] = [];
  for (const factor of options.loads) {
    const load = await offerLoad(request, { rate: factor * capacity, seconds });
    rows.push(rowOf(factor, load, memoryOf(served.pids)));
  }
  const titles = [
    "load",
    "requests/s",
    "pictures/s",
    "refused",
    "failed",
    "p50 s",
    "p95 s",
    "p99 s",
    "health p99 ms",
    "memory MB",
  ];
  console.log(markdownTable(titles, rows));
}

function rowOf(factor: number, load: Load, memory: number | undefined): string[] {
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => load.latency(share));
  const seconds = (value: number | undefined) => value?.toFixed(2) ?? "–";
  return [
    `${factor} ×`,
    load.offered.toFixed(2),
    load.drawn.toFixed(2),
    `${(100 * load.refused).toFixed(0)} %`,
    `${load.failed}`,
    seconds(p50),
    seconds(p95),
    seconds(p99),
    `${Math.round(1000 * load.health)}`,
    memory === undefined ? "–" : `${Math.round(memory / 1e6)}`,
  ];
}

function numbersOf(name: string, text: string): number[] {
  const numbers = text.split(",").filter((word) => word !== "").map(Number);
  if (numbers.every((number) => number > 0)) return numbers;
  throw wrongValue(name, "numbers above 0, separated by commas", text);
}

await runScript({
  usage: USAGE,
  options: {
    loads: { type: "string", default: "1,4,20" },
    seconds: { type: "string", default: "20" },
    steps: { type: "string" },
    serve: { type: "string", default: "" },
    url: { type: "string" },
    pids: { type: "string", default: "" },
  },
  run: ({ values }) => {
    if (values.url !== undefined && !URL.canParse(values.url)) {
      throw new UsageError(`--url is ${JSON.stringify(values.url)}, expected an address`);
    }
    return measure({
      loads: numbersOf("loads", values.loads),
      seconds: integerOption("seconds", values.seconds)!,
      steps: integerOption("steps", values.steps),
      serve: values.serve.split(" ").filter((word) => word !== ""),
      url: values.url?.replace(/\/+$/, ""),
      pids: numbersOf("pids", values.pids),
    });
  },
});
