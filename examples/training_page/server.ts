// Serves the page, the bundle of the library and the model:
//
//     deno task bundle browser
//     deno serve --allow-read=examples/training_page,out/browser,weights examples/training_page/server.ts
//
// Then open http://localhost:8000/

import { pageHandler } from "../page/server.ts";

export default { fetch: pageHandler({ "/": new URL("./", import.meta.url) }) };
