// What stands in the fields of parameters, as the library takes it.

import { parseStyles } from "../src/conditioning/styles.ts";
import { parseInterval } from "../src/pipeline/guidance_interval.ts";

/** The value of a parameter by its name in the library. One that cannot be read is left for it to refuse. */
export function libraryValue(option: string, value: number | string): unknown {
  if (option === "guidanceInterval") return parseInterval(String(value)) ?? value;
  if (option === "styles") return parseStyles(String(value)) ?? value;
  return value;
}
