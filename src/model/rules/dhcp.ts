import { parseIp4 } from "../addresses/ip.ts";
import { fieldPath } from "../api/field-path.ts";
import type { Problem } from "./problem.ts";
import { type Nic, nicProblem } from "./subject.ts";

const FIRST_PRIVATE = 224;
const LAST_PRIVATE = 254;

/** What `dhcpOptions` add to the answers. */
export function judgeDhcpOptions(nics: readonly Nic[]): Problem[] {
  return nics.flatMap((nic) => [...privateOptions(nic), ...ntpServers(nic)]);
}

function privateOptions(nic: Nic): Problem[] {
  const options = nic.nic.dhcpOptions?.privateOptions ?? [];
  // KubeVirt blames the whole spec.
  const field = fieldPath(nic.subject.root);
  const at = ["dhcpOptions", "privateOptions"];
  const numbers = new Set<number>();
  return options.flatMap(({ option }, index) => {
    const again = numbers.has(option);
    numbers.add(option);
    return [
      ...(again
        ? [
            nicProblem(nic, [...at, index, "option"], {
              code: "PB2049",
              type: "FieldValueInvalid",
              field,
              message: `The DHCP option ${option} of the interface "${nic.nic.name}" is given twice.`,
              cure: "Keep one of them.",
            }),
          ]
        : []),
      ...(option >= FIRST_PRIVATE && option <= LAST_PRIVATE
        ? []
        : [
            nicProblem(nic, [...at, index, "option"], {
              code: "PB2050",
              type: "FieldValueInvalid",
              field,
              message: `The DHCP option ${option} of the interface "${nic.nic.name}" is not one for private use.`,
              cure: `Use ${FIRST_PRIVATE} to ${LAST_PRIVATE}; NTP servers, boot file and TFTP server have fields of their own.`,
            }),
          ]),
    ];
  });
}

function ntpServers(nic: Nic): Problem[] {
  return (nic.nic.dhcpOptions?.ntpServers ?? []).flatMap((server, index) =>
    parseIp4(server) !== undefined
      ? []
      : [
          nicProblem(nic, ["dhcpOptions", "ntpServers", index], {
            code: "PB2051",
            type: "FieldValueInvalid",
            message: `The NTP server "${server}" is no IPv4 address.`,
            cure: "DHCPv4 carries IPv4 addresses only: write the server's.",
          }),
        ],
  );
}
