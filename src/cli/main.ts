import { enableCompileCache } from "node:module";

// Compiled code is kept inside the installation and not in the shared temporary folder: whoever can write the cache
// decides what runs. A folder that cannot be written only means no cache.
enableCompileCache(`${import.meta.dirname}/../../.cache/compile`);

const { main } = await import("./program.ts");
process.exitCode = await main(process.argv.slice(2));
