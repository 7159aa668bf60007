// Circles in a graph of imports.

/**
 * The strongly connected components of more than one node, by Tarjan's algorithm, each sorted; and
 * nodes with an edge to themselves.
 *
 * @param edges Pairs of an importing and an imported file.
 */
export function circles(edges: Iterable<readonly [from: string, to: string]>): string[][] {
  const targets = new Map<string, Set<string>>();
  for (const [from, to] of edges) {
    targets.set(from, (targets.get(from) ?? new Set()).add(to));
  }
  const found: string[][] = [];
  const index = new Map<string, number>();
  const stack: string[] = [];

  /** Gives the lowest index on the stack that the node leads to. */
  function visit(node: string): number {
    const own = index.size;
    index.set(node, own);
    let lowest = own;
    stack.push(node);
    for (const target of targets.get(node) ?? []) {
      if (!index.has(target)) lowest = Math.min(lowest, visit(target));
      else if (stack.includes(target)) lowest = Math.min(lowest, index.get(target)!);
    }
    if (lowest === own) {
      const component = stack.splice(stack.indexOf(node));
      if (component.length > 1 || targets.get(node)?.has(node)) found.push(component.sort());
    }
    return lowest;
  }

  for (const node of targets.keys()) {
    if (!index.has(node)) visit(node);
  }
  return found;
}
