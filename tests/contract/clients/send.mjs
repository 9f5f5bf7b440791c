// Each of the six calls through an official client: node send.mjs segment|rudderstack URL WRITE_KEY
const [name, url, writeKey] = process.argv.slice(2);

async function open() {
  if (name === "segment") {
    const { Analytics } = await import("@segment/analytics-node");
    const client = new Analytics({ writeKey, host: url, maxRetries: 1 });
    client.on("error", (error) => fail(error));
    return { client, end: () => client.closeAndFlush() };
  }
  const { default: RudderAnalytics } = await import("@rudderstack/rudder-sdk-node");
  const client = new RudderAnalytics(writeKey, { dataPlaneUrl: url, flushInterval: 60_000 });
  return { client, end: () => client.flush() };
}

function fail(error) {
  console.error(error);
  process.exitCode = 1;
}

const { client, end } = await open();
client.identify({ userId: "u1", traits: { plan: "starter" } });
client.track({
  userId: "u1",
  event: "plan_limit_reached",
  properties: { limit_type: "seats" },
  context: { groupId: "acme" },
});
client.group({ userId: "u1", groupId: "acme", traits: { name: "Acme" } });
client.alias({ previousId: "visitor-9", userId: "u1" });
client.page({ userId: "u1", category: "docs", name: "Limits" });
client.screen({ anonymousId: "visitor-9", name: "Home" });
await end().catch(fail);
process.exit();
