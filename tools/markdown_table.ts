// Tables to be read in a terminal and put into a README alike.

/** A table with its columns aligned: the first to the left, the others to the right. */
export function markdownTable(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const widths = titles.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]!.length))
  );
  const line = (cells: readonly string[]) => {
    const padded = cells.map((cell, i) => {
      return i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!);
    });
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [titles, rule, ...rows].map(line).join("\n");
}

/** 0.9876 → "98.8 %". */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
