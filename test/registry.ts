import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A document or layer of the registry. */
interface Content {
  readonly mediaType: string;
  readonly data: Uint8Array;
  readonly digest: string;
}

/** What a manifest or an index names. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const OCI = "application/vnd.oci.image";

/** A registry on the loopback interface that speaks the OCI distribution specification over plain HTTP; images are only read. */
export class Registry {
  /** `127.0.0.1:PORT`, the first part of its images' names. */
  readonly host: string;
  readonly #contents = new Map<string, Content>();
  readonly #tags = new Map<string, string>();
  readonly #stalled = new Set<string>();
  /** Credentials as `user:password` without which nobody gets anything. */
  credentials: string | undefined;
  /** Answers everything below /v2/ with this status. */
  trouble: number | undefined;
  /** Resolves when a request for a stalled blob came, with a promise of its end. */
  readonly stalling = Promise.withResolvers<{ readonly over: Promise<unknown> }>();

  private constructor(host: string) {
    this.host = host;
  }

  static async start(t: TestContext): Promise<Registry> {
    let registry: Registry | undefined;
    const server = createServer((request, response) => registry?.answer(request, response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    registry = new Registry(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    return registry;
  }

  /** Takes a blob or document. */
  put(data: Uint8Array, mediaType: string): Descriptor {
    const digest = `sha256:${createHash("sha256").update(data).digest("hex")}`;
    this.#contents.set(digest, { mediaType, data, digest });
    return { mediaType, digest, size: data.length };
  }

  /** Takes an image of packed layers; its manifest is OCI's, or Docker's where asked for. */
  image(layers: readonly Uint8Array[], by: "oci" | "docker" = "oci", architecture = "amd64"): Descriptor {
    const types =
      by === "oci"
        ? { manifest: `${OCI}.manifest.v1+json`, config: `${OCI}.config.v1+json`, layer: `${OCI}.layer.v1.tar+gzip` }
        : {
            manifest: "application/vnd.docker.distribution.manifest.v2+json",
            config: "application/vnd.docker.container.image.v1+json",
            layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
          };
    const config = { os: "linux", architecture, config: {}, rootfs: { type: "layers", diff_ids: [] } };
    return this.document(types.manifest, {
      config: this.document(types.config, config),
      layers: layers.map((layer) => this.put(layer, types.layer)),
    });
  }

  /** Takes a multi-platform image. */
  index(images: Readonly<Record<string, Descriptor>>): Descriptor {
    const manifests = Object.entries(images).map(([architecture, image]) => ({
      ...image,
      platform: { os: "linux", architecture },
    }));
    return this.document(`${OCI}.index.v1+json`, { manifests });
  }

  document(mediaType: string, content: object): Descriptor {
    return this.put(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...content })), mediaType);
  }

  /** Puts a name and tag on an image; answers the name as users write it. */
  tag(nameAndTag: string, image: Descriptor): string {
    this.#tags.set(nameAndTag, image.digest);
    return `${this.host}/${nameAndTag}`;
  }

  /** Sends the first bytes of this blob and then nothing more. */
  stall(digest: string): void {
    this.#stalled.add(digest);
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const content = this.#isKnown(request, response) ? this.#asked(request.url ?? "") : "unauthorized";
    if (content === "unauthorized") refuse(response, 401, "UNAUTHORIZED");
    else if (request.url === "/v2/") response.end("{}");
    else if (this.trouble !== undefined) refuse(response, this.trouble, "UNKNOWN");
    else if (content === undefined) refuse(response, 404, "MANIFEST_UNKNOWN");
    else this.#send(content, request, response);
  }

  #isKnown(request: IncomingMessage, response: ServerResponse): boolean {
    if (this.credentials === undefined) return true;
    response.setHeader("WWW-Authenticate", 'Basic realm="registry"');
    return request.headers.authorization === `Basic ${Buffer.from(this.credentials).toString("base64")}`;
  }

  #asked(url: string): Content | undefined {
    const [, name = "", reference = ""] = /^\/v2\/(.+)\/(?:manifests|blobs)\/([^/]+)$/.exec(url) ?? [];
    const digest = reference.startsWith("sha256:") ? reference : this.#tags.get(`${name}:${reference}`);
    return digest === undefined ? undefined : this.#contents.get(digest);
  }

  #send({ mediaType, data, digest }: Content, request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, {
      "Content-Type": mediaType,
      "Content-Length": data.length,
      "Docker-Content-Digest": digest,
    });
    if (!this.#stalled.has(digest)) {
      response.end(request.method === "HEAD" ? undefined : data);
      return;
    }
    response.write(data.subarray(0, 1000));
    this.stalling.resolve({ over: once(response, "close") });
  }
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code, message: code.toLowerCase().replaceAll("_", " ") }] }));
}
