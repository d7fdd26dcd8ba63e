import { intOrText, list, marker, object, text, whole, word } from "./schema.ts";

/** A probe of the guest. */
export const probe = (purpose: string) =>
  object(
    `${purpose} One of \`httpGet\`, \`tcpSocket\`, \`exec\` and \`guestAgentPing\`; the first two need an interface on the pod network.`,
    {},
    {
      httpGet: object(
        "Succeeds on an HTTP answer from 200 to 399.",
        { port: intOrText("Port number.") },
        {
          path: text("Path of the request. Default /."),
          host: text("Address to ask. Default: the pod's."),
          scheme: word("Default HTTP.", ["HTTP", "HTTPS"]),
          httpHeaders: list(
            "Headers of the request. Default none.",
            object("A header.", { name: text("Name of the header."), value: text("Value of the header.") }, {}),
          ),
        },
      ),
      tcpSocket: object(
        "Succeeds when the port takes a connection.",
        { port: intOrText("Port number.") },
        { host: text("Address to connect to. Default: the pod's.") },
      ),
      exec: object(
        "Succeeds when a command in the guest exits with 0; needs the guest agent.",
        {},
        { command: list("The command. Required.", text("Program, then its arguments.")) },
      ),
      guestAgentPing: marker("Succeeds when the guest agent answers."),
      initialDelaySeconds: whole("Seconds before the first probe. Default 0."),
      timeoutSeconds: whole("Seconds to wait for an answer. Default 1."),
      periodSeconds: whole("Seconds between probes. Default 10."),
      successThreshold: whole("Successes in a row that count as success. Default 1."),
      failureThreshold: whole("Failures in a row that count as failure. Default 3."),
    },
  );
