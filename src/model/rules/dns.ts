import { parseIp } from "../addresses/ip.ts";
import { isDnsLabel, isDnsSubdomain } from "../api/names.ts";
import { nearMiss } from "../near-miss.ts";
import type { Problem } from "./problem.ts";
import { readIp } from "./reading.ts";
import { asLabel, respelt } from "./respelt.ts";
import { type Fault, problemAt, type Subject } from "./subject.ts";

const POLICIES = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const MOST_SERVERS = 3;
const MOST_SEARCHES = 6;
const LONGEST_SEARCH_LIST = 256;

/** Host name, subdomain, and where name servers come from. */
export function judgeDns(subject: Subject): Problem[] {
  return [...hostNames(subject), ...policy(subject), ...config(subject)];
}

function hostNames(subject: Subject): Problem[] {
  const { hostname = "", subdomain = "" } = subject.spec;
  return [
    ...(hostname === "" || isDnsLabel(hostname)
      ? []
      : [
          problemAt(subject, ["hostname"], {
            code: "PB2064",
            type: "FieldValueInvalid",
            message: `The host name "${hostname}" is no DNS label.`,
            cure: `${respelt([asLabel(hostname)], isDnsLabel)}Use at most 63 small letters, digits and dashes, no dash at an end; the part after a dot belongs in subdomain.`,
          }),
        ]),
    ...(subdomain === "" || isDnsSubdomain(subdomain)
      ? []
      : [
          problemAt(subject, ["subdomain"], {
            code: "PB2065",
            type: "FieldValueInvalid",
            message: `The subdomain "${subdomain}" is no DNS name.`,
            cure: `${respelt([subdomain.split(".").map(asLabel).join(".")], isDnsSubdomain)}Use small letters, digits, dashes and dots.`,
          }),
        ]),
  ];
}

function policy(subject: Subject): Problem[] {
  const { dnsPolicy } = subject.spec;
  if (dnsPolicy === undefined || POLICIES.includes(dnsPolicy)) return [];
  return [
    problemAt(subject, ["dnsPolicy"], {
      code: "PB2066",
      type: "FieldValueNotSupported",
      message: `The DNS policy "${dnsPolicy}" is not known.`,
      cure: `${respelt([nearMiss(dnsPolicy, POLICIES) ?? ""], () => true)}Use one of ${POLICIES.join(", ")}.`,
    }),
  ];
}

function config(subject: Subject): Problem[] {
  const { dnsPolicy, dnsConfig } = subject.spec;
  if (dnsPolicy === "None" && dnsConfig === undefined) {
    const message = "The DNS policy is None, and there is no dnsConfig.";
    const cure = "Add dnsConfig with nameservers.";
    return [problemAt(subject, ["dnsConfig"], { code: "PB2067", type: "FieldValueRequired", message, cure })];
  }
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {};
  const at = (key: string, index?: number): (string | number)[] =>
    index === undefined ? ["dnsConfig", key] : ["dnsConfig", key, index];
  if (dnsPolicy === "None" && nameservers.length === 0) {
    const message = "The DNS policy is None, and dnsConfig names no server.";
    const fault: Fault = { code: "PB2068", type: "FieldValueRequired", field: "nameservers", message };
    return [problemAt(subject, ["dnsConfig"], { ...fault, cure: "Add at least one to nameservers." })];
  }
  const invalid = { type: "FieldValueInvalid" } as const;
  const problems: Problem[] = [];
  if (nameservers.length > MOST_SERVERS) {
    const message = `There are ${nameservers.length} name servers.`;
    const cure = `Resolvers read the first ${MOST_SERVERS}: keep those.`;
    problems.push(
      problemAt(subject, at("nameservers"), { ...invalid, code: "PB2691", field: "nameservers", message, cure }),
    );
  }
  for (const [index, server] of nameservers.entries()) {
    if (parseIp(readIp(server)) !== undefined) continue;
    const message = `The name server "${server}" is no IP address.`;
    const cure = "Write the server's address.";
    problems.push(
      problemAt(subject, at("nameservers", index), { ...invalid, code: "PB2692", field: "nameservers", message, cure }),
    );
  }
  if (searches.length > MOST_SEARCHES) {
    const message = `There are ${searches.length} search domains.`;
    const cure = `Use at most ${MOST_SEARCHES}.`;
    problems.push(
      problemAt(subject, at("searches"), { ...invalid, code: "PB2693", field: "searchDomains", message, cure }),
    );
  }
  const length = searches.join(" ").length;
  if (length > LONGEST_SEARCH_LIST) {
    const message = `The search domains are ${length} characters long.`;
    const cure = `Use at most ${LONGEST_SEARCH_LIST}, blanks between them counted.`;
    problems.push(
      problemAt(subject, at("searches"), { ...invalid, code: "PB2694", field: "searchDomains", message, cure }),
    );
  }
  for (const [index, domain] of searches.entries()) {
    if (isDnsSubdomain(domain)) continue;
    const message = `The search domain "${domain}" is no DNS name.`;
    const meant = respelt([domain.split(".").filter(Boolean).map(asLabel).join(".")], isDnsSubdomain);
    const cure = `${meant}Use small letters, digits, dashes and dots.`;
    problems.push(
      problemAt(subject, at("searches", index), { ...invalid, code: "PB2695", field: "searchDomains", message, cure }),
    );
  }
  for (const [index, { name = "" }] of options.entries()) {
    if (name !== "") continue;
    const message = `DNS option ${index} has no name.`;
    const cure = "Add name, such as ndots.";
    problems.push(
      problemAt(subject, at("options", index), { ...invalid, code: "PB2696", field: "options", message, cure }),
    );
  }
  return problems;
}
