/** Version of the package, which is that in deno.json. */
export const VERSION = "0.1.0";
