import { enableCompileCache } from "node:module";

// Compiled code is kept inside the installation and not in the shared temporary folder: whoever can write the cache
// decides what runs. A folder that cannot be written only means no cache.
enableCompileCache(`${import.meta.dirname}/../../.cache/compile`);

// Whoever reads the output may stop early (`| head`): then nobody is left to tell, and that is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
}

const { main } = await import("./program.ts");
process.exitCode = await main(process.argv.slice(2));
