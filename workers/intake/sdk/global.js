/* For pages that load the SDK by a script element: window.brimful, and the calls that were made before. */

import { brimful } from "./brimful.js";

const before = window.brimful;

/** `brimful.push(["track", "Report opened"])`, as in the snippet, while the file is still on its way. */
brimful.push = ([name, ...given]) => brimful[name](...given);
window.brimful = brimful;
if (Array.isArray(before)) before.forEach((one) => brimful.push(one));
