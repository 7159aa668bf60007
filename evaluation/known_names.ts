// What the embedded model knows, from the list that lies with it.

import listing from "../weights/names.json" with { type: "json" };

/** Names by the category of Unicode's data. */
export const NAMES_BY_CATEGORY: Readonly<Record<string, readonly string[]>> = listing.names;

/** All names. */
export const KNOWN_NAMES: readonly string[] = Object.values(NAMES_BY_CATEGORY).flat();
