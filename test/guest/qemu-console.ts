/** `node qemu-console.ts SOCKET`: attaches this process's terminal, or pipe, to a serial console. */
import { attachConsole } from "../../src/host/guest/console.ts";
import { isFault, sentence } from "../../src/model/fault.ts";

try {
  const end = await attachConsole(process.argv[2] ?? "", process.stdin, process.stdout);
  process.stderr.write(`end: ${end}\n`);
} catch (thrown) {
  if (!isFault(thrown)) throw thrown;
  process.stderr.write(`${thrown.code}: ${sentence(thrown)}\n`);
  process.exitCode = 1;
}
