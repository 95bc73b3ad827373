//! All operations of the Admin API: what is asked where, and what does it.

mod admission;
mod duties;

use openapi::Operation as Op;
use partners::{NewApp, NewCompany, NewDeveloper, NewProduct};

use crate::operation::{Lists, Operations};
use crate::{
    Status, apps, audit, companies, configuration, contracts, developers, health, key_changes, keys, metrics,
    operation, products, statements, status, subscriptions, tokens, upgrade, usage, usage_series, webhooks,
};

/// What everybody may ask who reaches the listener.
pub(crate) fn open() -> Operations {
    Operations::default()
        .on(Op::get("/healthz", "Whether the process lives").open().answers::<health::Health>(), health::health)
        .on(
            Op::get("/readyz", "Whether the gateway takes requests; 503 where it does not")
                .open()
                .answers::<health::Answer>(),
            health::ready,
        )
        .on(
            Op::get("/secret-patterns", "What keys and tokens look like, for programs that look for leaked ones")
                .open()
                .answers::<keys::Patterns>(),
            keys::patterns,
        )
        .on(
            Op::get("/openapi.json", "This description").open().or_says(&["application/json"]),
            operation::show_document,
        )
        .on(Op::get("/reference", "This description as a page").open().or_says(&["text/html"]), operation::show_page)
}

/// For scrapers.
pub(crate) fn metrics() -> Operations {
    const SUMMARY: &str = "Everything that is counted; without a token on a loopback address";
    const MEDIA: &[&str] = &["text/plain", "application/openmetrics-text"];
    Operations::default().on(Op::get("/metrics", SUMMARY).locally_open().or_says(MEDIA), metrics::show)
}

/// What needs a token.
pub(crate) fn closed() -> Operations {
    of_companies()
        .and(of_keys())
        .and(of_products())
        .and(of_subscriptions())
        .and(of_operators())
        .and(of_money())
        .and(of_webhooks())
        .and(admission::operations())
        .and(duties::operations())
        .and(of_node())
}

fn of_companies() -> Operations {
    const COMPANY: &str = "/companies/{company}";
    const APPS: &str = "/companies/{company}/apps";
    const APP: &str = "/companies/{company}/apps/{app}";
    const DEVELOPERS: &str = "/companies/{company}/developers";
    const DEVELOPER: &str = "/companies/{company}/developers/{developer}";
    Operations::default()
        .on(Op::get("/companies", "Lists companies by name").lists::<companies::Shown>(), companies::list)
        .on(
            Op::post("/companies", "Makes a company")
                .takes::<NewCompany>()
                .shows::<companies::Shown>()
                .makes::<companies::Shown>(),
            companies::create,
        )
        .on(Op::get(COMPANY, "Shows a company").shows::<companies::Shown>(), companies::show)
        .on(Op::delete(COMPANY, "Deletes a company with all that it has; its keys die at once"), companies::delete)
        .on(Op::get(DEVELOPERS, "Lists a company's developers by name").lists::<developers::Shown>(), developers::list)
        .on(
            Op::post(DEVELOPERS, "Makes a developer of a company")
                .takes::<NewDeveloper>()
                .shows::<developers::Shown>()
                .makes::<developers::Shown>(),
            developers::create,
        )
        .on(Op::get(DEVELOPER, "Shows a developer").shows::<developers::Shown>(), developers::show)
        .on(
            Op::put(DEVELOPER, "Changes what a developer is called, and where mail goes")
                .takes::<developers::Replacement>()
                .shows::<developers::Shown>(),
            developers::replace,
        )
        .on(Op::delete(DEVELOPER, "Deletes a developer"), developers::delete)
        .on(Op::get(APPS, "Lists a company's apps by name").lists::<apps::Shown>(), apps::list)
        .on(
            Op::post(APPS, "Makes an app of a company").takes::<NewApp>().shows::<apps::Shown>().makes::<apps::Shown>(),
            apps::create,
        )
        .on(Op::get(APP, "Shows an app").shows::<apps::Shown>(), apps::show)
        .on(Op::delete(APP, "Deletes an app with its keys, which die at once"), apps::delete)
}

fn of_keys() -> Operations {
    const KEYS: &str = "/companies/{company}/apps/{app}/keys";
    const IMPORT: &str = "/companies/{company}/apps/{app}/keys/import";
    Operations::default()
        .on(Op::get(KEYS, "Lists an app's keys by id, dead ones too").lists::<keys::Shown>(), keys::list)
        .on(
            Op::post(KEYS, "Makes a key. Its secret is in this answer and nowhere else, ever")
                .takes::<keys::New>()
                .shows::<keys::Made>()
                .makes::<keys::Made>(),
            keys::create,
        )
        .on(
            Op::post(IMPORT, "Takes over keys that another program made, all of them or none")
                .takes::<key_changes::Import>()
                .makes::<key_changes::Imported>(),
            key_changes::import,
        )
        .on(
            Op::get(
                "/keys/rotated",
                "Lists keys of all apps that were rotated and still work, and whether anybody uses them",
            )
            .lists::<key_changes::StillOverlapping>(),
            key_changes::rotated,
        )
        .on(Op::get("/keys/{key}", "Shows a key, without its secret").shows::<keys::Shown>(), keys::show)
        .on(
            Op::post("/keys/{key}/revoke", "Makes a key open nothing from now on").shows::<keys::Shown>(),
            key_changes::revoke,
        )
        .on(
            Op::post("/keys/{key}/expire", "Says when a key stops working by itself, or that it never does")
                .takes::<key_changes::Expiry>()
                .shows::<keys::Shown>(),
            key_changes::expire,
        )
        .on(
            Op::post("/keys/{key}/rotate", "Makes a key that takes this one's place, which works on for a while")
                .may_take::<key_changes::Rotation>()
                .shows::<keys::Made>()
                .makes::<keys::Made>(),
            key_changes::rotate,
        )
        .on(
            Op::post(
                "/keys/{key}/end-overlap",
                "Of two keys that work since a rotation, makes the old one stop at once",
            )
            .shows::<keys::Shown>(),
            key_changes::end_overlap,
        )
}

fn of_products() -> Operations {
    const PRODUCT: &str = "/products/{product}";
    Operations::default()
        .on(
            Op::get("/products", "Lists products by name, those of the configuration file too")
                .lists::<products::Shown>(),
            products::list,
        )
        .on(
            Op::post("/products", "Makes a product")
                .takes::<NewProduct>()
                .shows::<products::Shown>()
                .makes::<products::Shown>(),
            products::create,
        )
        .on(Op::get(PRODUCT, "Shows a product").shows::<products::Shown>(), products::show)
        .on(
            Op::put(PRODUCT, "Changes a product's operations and quota")
                .takes::<products::Replacement>()
                .shows::<products::Shown>(),
            products::replace,
        )
        .on(Op::delete(PRODUCT, "Deletes a product that no app is subscribed to"), products::delete)
}

fn of_subscriptions() -> Operations {
    const ALL: &str = "/companies/{company}/apps/{app}/subscriptions";
    const ONE: &str = "/companies/{company}/apps/{app}/subscriptions/{product}";
    const APPROVE: &str = "/companies/{company}/apps/{app}/subscriptions/{product}/approve";
    const REFUSE: &str = "/companies/{company}/apps/{app}/subscriptions/{product}/refuse";
    const SUSPEND: &str = "/companies/{company}/apps/{app}/subscriptions/{product}/suspend";
    type Shown = subscriptions::Shown;
    Operations::default()
        .on(
            Op::get("/subscriptions", "Lists subscriptions of all apps that wait for a decision").lists::<Shown>(),
            subscriptions::pending,
        )
        .on(Op::get(ALL, "Lists an app's subscriptions by product").lists::<Shown>(), subscriptions::list)
        .on(
            Op::post(ALL, "Subscribes an app to a product")
                .takes::<subscriptions::New>()
                .shows::<Shown>()
                .makes::<Shown>(),
            subscriptions::create,
        )
        .on(Op::get(ONE, "Shows a subscription").shows::<Shown>(), subscriptions::show)
        .on(Op::delete(ONE, "Ends a subscription"), subscriptions::delete)
        .on(Op::post(APPROVE, "Opens the product's operations to the app").shows::<Shown>(), subscriptions::approve)
        .on(Op::post(REFUSE, "Says no").shows::<Shown>(), subscriptions::refuse)
        .on(
            Op::post(SUSPEND, "Closes the product's operations to the app for now").shows::<Shown>(),
            subscriptions::suspend,
        )
}

fn of_operators() -> Operations {
    Operations::default()
        .on(Op::get("/tokens", "Lists tokens of the Admin API by name").lists::<tokens::Shown>(), tokens::list)
        .on(
            Op::post("/tokens", "Makes a token. Its secret is in this answer and nowhere else, ever")
                .takes::<tokens::New>()
                .shows::<tokens::Made>()
                .makes::<tokens::Made>(),
            tokens::create,
        )
        .on(Op::delete("/tokens/{token}", "Deletes a token: it opens nothing from now on"), tokens::delete)
        .on(Op::get("/audit", "Lists entries of the audit log, oldest first").lists::<audit::Shown>(), audit::list)
}

fn of_money() -> Operations {
    const CONTRACTS: &str = "/companies/{company}/contracts";
    const CONTRACT: &str = "/companies/{company}/contracts/{contract}";
    type Shown = contracts::Shown;
    Operations::default()
        .on(Op::get(CONTRACTS, "Lists a company's contracts by name").lists::<Shown>(), contracts::list)
        .on(
            Op::post(CONTRACTS, "Makes a contract: a company has one at a time")
                .takes::<contracts::New>()
                .shows::<Shown>()
                .makes::<Shown>(),
            contracts::create,
        )
        .on(Op::get(CONTRACT, "Shows a contract").shows::<Shown>(), contracts::show)
        .on(
            Op::put(CONTRACT, "Changes a contract's plan and dates").takes::<contracts::Replacement>().shows::<Shown>(),
            contracts::replace,
        )
        .on(Op::delete(CONTRACT, "Deletes a contract; statements that were made by it stay"), contracts::delete)
        .on(
            Op::get("/usage", "Sums of usage, up to this moment").asks::<usage::Question>().answers::<usage::Usage>(),
            usage::show,
        )
        .on(
            Op::get("/usage/series", "Sums for each hour, day or month, zeros included")
                .asks::<usage_series::Question>()
                .answers::<usage_series::Plotted>(),
            usage_series::show,
        )
        .on(
            Op::post("/usage/rebuild", "Makes the sums anew from the records that are kept")
                .at_once()
                .answers::<usage::Remade>(),
            usage::rebuild,
        )
        .and(of_statements())
}

fn of_statements() -> Operations {
    const STATEMENT: &str = "/statements/{number}";
    type Shown = statements::Shown;
    Operations::default()
        .on(
            Op::get("/statements", "Lists statements and credit notes by number")
                .lists::<billing::Brief>()
                .asks::<statements::Question>(),
            statements::list,
        )
        .on(
            Op::post("/statements", "Makes a draft, or makes it anew from the totals of now")
                .at_once()
                .takes::<statements::Wanted>()
                .makes::<Shown>(),
            statements::create,
        )
        .on(
            Op::get(STATEMENT, "Shows a statement or credit note, as JSON, CSV or a page to print")
                .asks::<statements::Form>()
                .answers::<Shown>()
                .or_says(&["text/csv", "text/html"]),
            statements::show,
        )
        .on(Op::delete(STATEMENT, "Discards a draft").at_once(), statements::discard)
        .on(
            Op::post("/statements/{number}/close", "Closes a draft that was seen. It never changes any more")
                .at_once()
                .takes::<statements::Seen>()
                .answers::<Shown>(),
            statements::close,
        )
        .on(
            Op::post("/statements/{number}/credit-notes", "Gives back a part of a closed statement")
                .at_once()
                .takes::<statements::Given>()
                .makes::<Shown>(),
            statements::credit,
        )
        .on(
            Op::get("/statements/late", "Lists usage that came after its statement was closed")
                .asks::<statements::Question>()
                .lists::<statements::Late>(),
            statements::late,
        )
        .on(
            Op::get("/statements/{number}/recount", "Compares a statement with the totals of now")
                .answers::<statements::Recounted>(),
            statements::recount,
        )
}

fn of_webhooks() -> Operations {
    const WEBHOOK: &str = "/webhooks/{webhook}";
    type Shown = webhooks::Shown;
    type Made = webhooks::Made;
    Operations::default()
        .on(
            Op::get("/webhooks", "Lists endpoints that are told what changes, by name").lists::<Shown>(),
            webhooks::list,
        )
        .on(
            Op::post("/webhooks", "Makes an endpoint. What it is signed with is in this answer and nowhere else")
                .takes::<webhooks::New>()
                .shows::<Made>()
                .makes::<Made>(),
            webhooks::create,
        )
        .on(Op::get(WEBHOOK, "Shows an endpoint").shows::<Shown>(), webhooks::show)
        .on(
            Op::put(WEBHOOK, "Changes where an endpoint is and what it is told")
                .takes::<webhooks::Replacement>()
                .shows::<Shown>(),
            webhooks::replace,
        )
        .on(Op::delete(WEBHOOK, "Deletes an endpoint"), webhooks::delete)
        .on(
            Op::post("/webhooks/{webhook}/enable", "Tells an endpoint again what changes; what changed meanwhile too")
                .shows::<Shown>(),
            webhooks::enable,
        )
        .on(
            Op::post("/webhooks/{webhook}/disable", "Tells an endpoint nothing until it is enabled").shows::<Shown>(),
            webhooks::disable,
        )
        .on(
            Op::post(
                "/webhooks/{webhook}/rotate-secret",
                "Makes another secret, beside which the old one signs for a while",
            )
            .may_take::<webhooks::Rotation>()
            .shows::<Made>(),
            webhooks::rotate,
        )
        .on(
            Op::post("/webhooks/{webhook}/test", "Tells an endpoint an event that is none, and says what it did")
                .at_once()
                .answers::<webhooks::Tested>(),
            webhooks::test,
        )
        .on(
            Op::get("/webhooks/{webhook}/deliveries", "Lists what became of the last hundred events, oldest first")
                .lists::<webhooks::Delivered>(),
            webhooks::deliveries,
        )
}

fn of_node() -> Operations {
    const CHANGE: &str = "Serves by a document, or says what it would change";
    Operations::default()
        .on(
            Op::get("/config", "Shows the document that serves, without its secrets").answers::<configuration::Shown>(),
            configuration::show,
        )
        .on(
            Op::put("/config", CHANGE)
                .at_once()
                .asks::<configuration::How>()
                .takes_text(configuration::TYPES)
                .answers::<configuration::Changed>(),
            configuration::replace,
        )
        .on(
            Op::post("/config/reload", "Reads the configuration file again")
                .at_once()
                .answers::<configuration::Changed>(),
            configuration::reload,
        )
        .on(Op::get("/status", "How the gateway is").answers::<Status>(), status::show)
        .on(
            Op::post("/upgrade", "Hands the sockets over to a new process; this one ends what it has begun")
                .at_once()
                .answers::<upgrade::Begun>()
                .with_status(http::StatusCode::ACCEPTED),
            upgrade::start,
        )
}
