//! What a request pays to have its key checked, with the hash and without: `cargo run --release --example find_cost`.

#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a measuring tool")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::hmac;
use http::Method;
use partners::{
    Index, NewApp, NewCompany, NewKey, NewProduct, Partners, Pepper, SubscriptionState, Target, UnixMicros,
};

/// Rounds, unless the first argument says otherwise.
const ROUNDS: u32 = 1_000_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let index = Arc::new(Index::new(Pepper::new(&[7; 32])));
    let partners = Partners::new(Arc::new(store::InMemory::default()), index.clone(), Arc::new(|| UnixMicros(1)));
    let new = NewCompany { name: "acme".to_owned(), title: None };
    let company = partners.create_company(new).await.unwrap().entity.name;
    let mut secrets = Vec::new();
    let operations: Vec<_> = ["POST /items", "GET /items/{id}/lines", "GET /items/{id}", "GET /**"]
        .map(|operation| format!("orders: {operation}"))
        .to_vec();
    let gold = partners.create_product(NewProduct { name: "gold".to_owned(), operations, quota: None }).await.unwrap();
    for number in 0..20 {
        let new = NewApp { name: format!("shop-{number}"), title: None };
        let app = partners.create_app(&company, new).await.unwrap().entity.id;
        partners.subscribe(&app, &gold.name, SubscriptionState::Approved).await.unwrap();
        for _ in 0..50 {
            secrets.push(partners.create_key(&app, NewKey::default()).await.unwrap().secret);
        }
    }

    let path = "/orders/v1/items/12345";
    let pepper = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let mut keys = secrets.iter().map(partners::Secret::expose).cycle();
    measure("the hash alone", || {
        black_box(hmac::sign(&pepper, keys.next().unwrap().as_bytes().get(..53).unwrap()));
    });
    measure("a malformed key", || {
        black_box(index.find(black_box("vk_live_0123456789abcdefghij")).is_err());
    });
    measure("finding a key", || {
        black_box(index.find(keys.next().unwrap()).is_ok());
    });
    let found = index.find(keys.next().unwrap()).unwrap();
    measure("finding its product", || {
        let target = Target::new("orders", &Method::GET, black_box(path), 2);
        black_box(found.app().grants().product_for(&target).map(|granted| granted.product().name.shared().clone()));
    });
    measure("all that a request needs", || {
        let found = index.find(keys.next().unwrap()).unwrap();
        black_box(found.state(UnixMicros(2)));
        let target = Target::new("orders", &Method::GET, black_box(path), 2);
        black_box(found.app().grants().product_for(&target).map(|granted| granted.product().name.shared().clone()));
        found.used(UnixMicros(2));
        black_box(found.caller().clone());
    });
}

#[inline(never)]
fn measure(what: &str, mut work: impl FnMut()) {
    let rounds = std::env::args().nth(1).map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let began = Instant::now();
    for _ in 0..rounds {
        work();
    }
    println!("{what:25} {:6.0} ns", began.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
}
