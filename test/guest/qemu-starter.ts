/** Starts a guest and stays: `node qemu-starter.ts '{"spec":…,"place":…}'`. Prints the record as one line. */
import { localRunner } from "../../src/host/guest/runner.ts";
import { closeAll, openTaps } from "./qemu-world.ts";

const { spec, place } = JSON.parse(process.argv[2] ?? "{}");
const fds = openTaps(place, spec.nics);
const guest = await localRunner().start(spec, fds, place);
closeAll(fds);
process.stdout.write(`${JSON.stringify(guest.record)}\n`);
await guest.exited;
