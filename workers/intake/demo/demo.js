/* The demo page: previews of every form, and one person's events and feed where the address names them. */

const cta = { cta_label: "Compare plans", cta_url: "#billing" };
const ITEMS = {
  banner: {
    title: "You keep reaching your seats limit",
    body: "All 5 seats that Starter includes are used. A larger plan removes the limit right away.",
    ...cta,
  },
  post: {
    title: "New: forecasts from your own history",
    body: "Pro shows what each deal is likely to bring, and why.\n\nSee [how it is calculated](https://example.com/forecasts).",
    image_url: "/demo.svg",
    image_alt: "Five columns that grow towards a limit",
    cta_label: "Try it for 14 days",
    cta_url: "#trial",
  },
  modal: {
    title: "Your workspace is full",
    body: "You have used 100 % of your 10 GB. Uploads are paused until there is room.\n\nPro has 1 TB, and nothing is lost meanwhile.",
    ...cta,
  },
  tooltip: {
    title: "Exports are part of Pro",
    body: "Send any list to a spreadsheet or to your warehouse.",
    cta_label: "See what is included",
    cta_url: "#pro",
    show: { selector: "#export" },
  },
  checklist: {
    title: "Get the most out of Acme",
    body: "",
    steps: [
      { title: "Import your contacts", done: true },
      { title: "Invite a colleague", body: "Two see more than one.", event: "teammate_invited", cta_label: "Invite", cta_url: "#team" },
      { title: "Build your first report", event: "report_created", cta_label: "Open reports", cta_url: "#reports" },
    ],
  },
  tour: {
    title: "What Pro adds",
    body: "",
    steps: [
      { title: "Everybody in one list", body: "Contacts from mail, calls and meetings, without copies.", selector: "#nav-contacts" },
      { title: "Reports that explain", body: "See what changed, and which deals it came from.", selector: "#nav-reports" },
      { title: "Take it with you", body: "Export whatever you see.", selector: "#export", cta_label: "Try Pro", cta_url: "#pro" },
    ],
  },
  chat: {
    author: "Grace from Acme",
    title: "You have 12 people waiting for a seat",
    body: "Shall we look together at which plan fits your team?",
    cta_label: "Reply",
    cta_url: "mailto:grace@example.com",
  },
};

const given = new URLSearchParams(location.hash.slice(1));
const one = (id) => document.getElementById(id);
const person = given.get("user");

function start() {
  const live = person && { writeKey: given.get("key"), token: given.get("token") };
  brimful.init({ host: location.origin, theme: one("theme").value, ...live });
}

function log(text) {
  const line = document.createElement("li");
  line.textContent = `${new Date().toLocaleTimeString()}  ${text}`;
  one("log").prepend(line);
}

for (const [form, item] of Object.entries(ITEMS)) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = form;
  button.dataset.form = form;
  button.addEventListener("click", () => brimful.preview({ form, ...item }));
  one("forms").append(button);
}

let invited = 0;
one("invite").addEventListener("click", () => {
  const events = ["teammate_invited", "report_created"];
  brimful.preview({ form: "checklist", ...ITEMS.checklist, steps: ITEMS.checklist.steps.map((step, at) => ({ ...step, done: at <= invited + 1 })) });
  invited = (invited + 1) % events.length;
});
one("theme").addEventListener("change", start);
one("direction").addEventListener("change", (event) => (document.documentElement.dir = event.target.value));

start();
one("live").hidden = !person;
if (person) {
  one("person").textContent = person;
  brimful.identify(person, { plan: "starter", first_name: "Ada" });
  for (const kind of ["show", "click", "dismiss"]) brimful.on(kind, ({ detail }) => log(`${kind}: ${detail.item.form} “${detail.item.title}”`));
  const track = (event, properties) => (log(`track: ${event}`), brimful.track(event, properties));
  one("limit").addEventListener("click", () => track("plan_limit_reached", { limit_type: "seats", usage_percentage: 100, current_plan: "starter" }));
  one("upgrade").addEventListener("click", () => track("plan_upgraded", { from_plan: "starter", to_plan: "pro", mrr_delta: 50 }));
}
