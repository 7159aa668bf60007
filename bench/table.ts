// The table that is printed, line by line as results come in.

/** A line of the table. */
export interface Row {
  /** What was measured. */
  readonly what: string;
  /** What ran it: `"ours"` or the name of a peer. */
  readonly by: string;
  readonly dtype?: string;
  readonly simd?: string;
  readonly threads?: number;
  readonly milliseconds: number;
  /** Products and sums in a second, in billions. */
  readonly rate?: number;
  /** Share of what the arithmetic of the instruction set can give. */
  readonly share?: number;
  /** Most bytes that its process had in memory. */
  readonly memory?: number;
  /** Largest difference from the result of the first line of its kind. */
  readonly difference?: number;
  /** How many times as fast as each peer. */
  readonly ratios?: ReadonlyMap<string, number>;
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly text: (row: Row) => string | undefined;
  readonly left?: boolean;
}

const COLUMNS: readonly Column[] = [
  { title: "what", width: 46, left: true, text: ({ what }) => what },
  { title: "by", width: 23, left: true, text: ({ by }) => by },
  { title: "dtype", width: 5, left: true, text: ({ dtype }) => dtype },
  { title: "SIMD", width: 12, left: true, text: ({ simd }) => simd },
  { title: "threads", width: 7, text: ({ threads }) => threads?.toString() },
  { title: "ms", width: 8, text: ({ milliseconds }) => digits(milliseconds) },
  { title: "GFLOP/s", width: 7, text: ({ rate }) => rate === undefined ? undefined : digits(rate) },
  {
    title: "of limit",
    width: 8,
    text: ({ share }) => share === undefined ? undefined : `${(100 * share).toFixed(0)} %`,
  },
  {
    title: "peak MB",
    width: 7,
    text: ({ memory }) => memory === undefined ? undefined : (memory / 1e6).toFixed(0),
  },
  {
    title: "difference",
    width: 10,
    text: ({ difference }) => difference?.toExponential(1),
  },
];

/** Prints rows below each other. */
export class Table {
  readonly #columns: readonly Column[];
  #titled = false;

  /** @param peers Names that rows have ratios to. */
  constructor(peers: readonly string[]) {
    const ratios = peers.map((peer): Column => {
      const title = `× ${peer}`;
      const text = ({ ratios }: Row) => ratios?.get(peer)?.toFixed(2);
      return { title, width: title.length, text };
    });
    this.#columns = [...COLUMNS, ...ratios];
  }

  /** Prints one line, the first one below the titles. */
  print(row: Row): void {
    if (!this.#titled) {
      this.#titled = true;
      this.#print((column) => column.title);
      this.#print((column) => "-".repeat(column.width));
    }
    this.#print((column) => column.text(row) ?? "");
  }

  #print(textOf: (column: Column) => string): void {
    const cells = this.#columns.map((column) => {
      const text = textOf(column);
      return column.left ? text.padEnd(column.width) : text.padStart(column.width);
    });
    console.log(cells.join("  ").trimEnd());
  }
}

/** Three digits, or all before the point. */
function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
