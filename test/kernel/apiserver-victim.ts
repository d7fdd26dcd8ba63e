// A server that is killed: `node apiserver-victim.ts FOLDER`. Prints one line when it is ready.
import { startSample } from "./apiserver-sample.ts";

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: apiserver-victim.ts FOLDER");
const { server } = await startSample(folder);
console.log(`ready ${server.port}`);
