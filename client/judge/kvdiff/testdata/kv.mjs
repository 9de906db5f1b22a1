// What a client of @nats-io/kv does and is told, a line each. Arguments: the URL of the server, and
// the prefix of the API ("" for JetStream's own).
import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";

const [url, prefix] = process.argv.slice(2);
const nc = await connect({ servers: url });
const kvm = new Kvm(prefix ? jetstream(nc, { apiPrefix: prefix }) : nc);
const text = (e) => (e === null ? "none" : `${e.operation} ${e.key}=${e.string()} @${e.revision}`);
const code = (e) => e.api_error?.err_code ?? e.code ?? e.name;

async function tell(what, f) {
  try {
    console.log(`${what}: ${await f()}`);
  } catch (e) {
    console.log(`${what}: error ${code(e)} ${e.message}`);
  }
}

async function all(iterator) {
  const list = [];
  for await (const x of await iterator) list.push(typeof x === "string" ? x : text(x));
  return list.join(", ");
}

// watched reads a watch's initial values, and then so many more.
async function watched(w, more, act) {
  const list = [];
  let left = more;
  setTimeout(act, 200);
  for await (const e of w) {
    list.push(`${text(e)}${e.isUpdate ? " new" : ""}`);
    if (e.isUpdate && --left === 0) break;
  }
  return list.join(", ");
}

await tell("open nobody, status", async () => (await (await kvm.open("nobody")).status()).bucket);
const kv = await kvm.create("js", { history: 5, storage: "memory", description: "of a test", markerTTL: 3600 * 1000 });
await tell("get nothing", async () => text(await kv.get("a")));
await tell("put", async () => await kv.put("a", "1"));
await tell("put again", async () => await kv.put("a", "2"));
await tell("create", async () => await kv.create("a", "3"));
await tell("create another", async () => await kv.create("b.c", "x"));
await tell("create with a TTL", async () => await kv.create("ttl", "x", "3600s"));
await tell("update", async () => await kv.update("a", "4", 2));
await tell("update an old one", async () => await kv.update("a", "5", 2));
await tell("put if", async () => await kv.put("a", "6", { previousSeq: 1 }));
await tell("get", async () => text(await kv.get("a")));
await tell("get a revision", async () => text(await kv.get("a", { revision: 1 })));
await tell("get a revision of another key", async () => text(await kv.get("b.c", { revision: 1 })));
await tell("a bad key", async () => await kv.put("a b", "1"));
await tell("history", async () => await all(kv.history({ key: "a" })));
await tell("keys", async () => await all(kv.keys()));
await tell("keys of a filter", async () => await all(kv.keys("b.*")));
await tell("watch", async () => watched(await kv.watch(), 2, async () => {
  await kv.put("b.c", "y");
  await kv.delete("a");
}));
await tell("watch updates of a key", async () => watched(await kv.watch({ key: "a", include: "updates" }), 1, () => kv.put("a", "7")));
await tell("delete", async () => await kv.delete("a"));
await tell("get a deleted key", async () => text(await kv.get("a")));
await tell("delete if", async () => await kv.delete("b.c", { previousSeq: 1 }));
await tell("create after a delete", async () => await kv.create("a", "8"));
await tell("purge", async () => await kv.purge("a"));
await tell("history after a purge", async () => await all(kv.history({ key: "a" })));
await tell("purge deletes", async () => JSON.stringify(await kv.purgeDeletes(-1)));
await tell("history after that", async () => await all(kv.history({ key: "a" })));
await tell("a plain open", async () => text(await (await kvm.open("js")).get("b.c")));
await tell("status", async () => {
  const s = await kv.status();
  return [s.bucket, s.values, s.history, s.ttl, s.description, s.storage, s.replicas, s.max_bytes, s.maxValueSize].join(" ");
});
await tell("list", async () => {
  const list = [];
  for await (const s of kvm.list()) list.push(`${s.bucket} ${s.values}`);
  return list.join(", ");
});
await tell("destroy", async () => await kv.destroy());
await tell("get from no bucket", async () => text(await kv.get("a")));
await nc.close();
