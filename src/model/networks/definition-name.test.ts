import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { badReference } from "./definition-name.ts";

test("what is wrong with a reference is said, with what it was meant to be", () => {
  const said = (text: string): string => {
    const { why = "fine", meant } = badReference(text) ?? {};
    return meant === undefined ? why : `${why}: ${meant}`;
  };
  for (const fine of ["net", "ns/net", "net.v1", "kube-system/a-b.c"]) assert.equal(said(fine), "fine", fine);
  assert.equal(said("ns/net/extra"), "has more than one slash: ns/net");
  assert.equal(said("/net"), "has no namespace before its slash: net");
  assert.equal(said("ns/"), "has no name after its slash");
  assert.equal(said(" net"), "has a blank in it: net");
  assert.equal(said("Net_With_Caps"), "has capitals: net-with-caps");
  assert.equal(said("net@eth1"), "names a link as well, which the VMI's interface does by itself: net");
  assert.equal(said("ns/net,other/net2"), "names several definitions, and a network has one: ns/net");
  assert.equal(said("n_s/net"), "has letters that no name has: n-s/net");
  assert.equal(said("a.b/net"), "has letters that no name has");
  assert.equal(said("a".repeat(254)), "has a name of 254 characters, more than 253");
});

test("whatever is written, what it was meant to be is sound", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[aB_.@,/ -]{0,12}$/)), (text) => {
      const meant = badReference(text)?.meant;
      assert.ok(meant === undefined || badReference(meant) === undefined);
    }),
  );
});
