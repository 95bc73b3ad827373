//! What was told stays.

use super::*;
use crate::{NotKept, Trouble};

#[tokio::test]
async fn everything_is_as_it_was_after_a_restart() {
    for settings in all_settings() {
        let scene = Scene::with(settings);
        let ids = scene.joined(5).await;
        scene.increment(3).await;
        scene.token(&ids[0]).await;
        scene.token(&ids[1]).await;
        scene.end(&ids[0], 1).await;
        scene.wait(901);
        scene.rooms.tick(scene.now.get());
        let told = async |scene: &Scene| {
            let mut told = Vec::new();
            for id in &ids {
                told.extend([scene.queue_num(id).await.text, scene.token(id).await.text, scene.expiry(id).await.text]);
            }
            (told, scene.room.counters().unwrap())
        };
        let before = told(&scene).await;

        let scene = scene.restarted();
        assert_eq!(told(&scene).await, before);
        scene.rooms.take_pictures().unwrap();
        let scene = scene.restarted();
        assert_eq!(told(&scene).await, before);
        assert_eq!(scene.queue_num(&scene.join().await).await.body["queue_number"], 6);
        assert_eq!(scene.restarted().room.counters().unwrap().queue, 6);
    }
}

#[tokio::test]
async fn a_join_that_is_repeated_after_a_restart_is_the_same_place() {
    let key = Some(waiting_room::JoinKey([7; 16]));
    let scene = Scene::new();
    let first = scene.room.join(key, 1).await.unwrap();
    let scene = scene.restarted();
    assert_eq!(scene.room.join(key, 2).await.unwrap(), first);
    scene.rooms.take_pictures().unwrap();
    let scene = scene.restarted();
    assert_eq!(scene.room.join(key, 3).await.unwrap(), first);
}

#[tokio::test]
async fn places_are_unique_and_gapless_however_many_join_at_once() {
    let scene = Scene::new();
    let joins = futures::future::join_all((0..2_000).map(|_| scene.join())).await;
    let mut places = Vec::new();
    for id in &joins {
        places.push(scene.queue_num(id).await.body["queue_number"].as_u64().unwrap());
    }
    places.sort_unstable();
    assert!(places.into_iter().eq(1..=2_000));
}

#[tokio::test]
async fn a_log_that_was_made_short_is_read_with_its_pictures() {
    let scene = Scene::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.extend(scene.joined(200).await);
        scene.rooms.take_pictures().unwrap();
    }
    ids.extend(scene.joined(10).await);
    let scene = scene.restarted();
    for (place, id) in (1_u32..).zip(&ids) {
        assert_eq!(scene.queue_num(id).await.body["queue_number"], place);
    }
}

#[tokio::test]
async fn rooms_are_in_one_process_at_a_time_and_go_on_in_the_next() {
    let scene = Scene::new();
    scene.join().await;
    let next = open(&scene.folder);
    next.set([("sale".to_owned(), settings())]);
    let room = next.named("sale").unwrap();

    assert_eq!(next.take().unwrap(), Whereabouts::Elsewhere);
    assert!(matches!(room.join(None, 1).await, Err(Trouble::NotKept(NotKept::Elsewhere))));
    assert!(matches!(room.counters(), Err(Trouble::NotKept(NotKept::Elsewhere))));

    scene.join().await;
    scene.rooms.let_go();
    assert!(matches!(scene.room.join(None, 1).await, Err(Trouble::NotKept(NotKept::Elsewhere))));
    assert_eq!(next.take().unwrap(), Whereabouts::Here);
    assert_eq!(room.counters().unwrap().queue, 2);
    room.join(None, 1).await.unwrap();
    assert_eq!(scene.rooms.take().unwrap(), Whereabouts::Elsewhere, "who let go does not come back");
}

#[test]
fn a_room_that_a_document_begins_to_have_while_the_log_is_read_is_one() {
    let scene = Scene::new();
    let begins = std::sync::Barrier::new(2);
    for number in 0..2_000 {
        let name = format!("room-{number}");
        let known = std::thread::scope(|scope| {
            let known = scope.spawn(|| {
                begins.wait();
                scene.rooms.known(&name)
            });
            begins.wait();
            scene.rooms.set([(name.clone(), settings())]);
            known.join().unwrap()
        });
        assert!(Arc::ptr_eq(&known, &scene.rooms.named(&name).unwrap()), "{name}");
    }
}

#[tokio::test]
async fn a_question_waits_for_rooms_that_are_about_to_come() {
    let scene = Scene::new();
    let next = open(&scene.folder);
    next.set([("sale".to_owned(), settings())]);
    let (headers, api) = (HeaderMap::new(), Api::new(next.named("sale").unwrap(), Side::Public));
    let (query, now) = ("event_id=Sample", 1);
    let question =
        Question { path: "/watch", query, is_secure: false, headers: &headers, body: &[], now, client: None };
    let asked = api.answer(crate::Operation::ServingNum, &question);
    let taken = async {
        tokio::task::yield_now().await;
        scene.rooms.let_go();
        next.take().unwrap()
    };
    let (response, whereabouts) = futures::future::join(asked, taken).await;
    assert_eq!((response.status(), whereabouts), (StatusCode::OK, Whereabouts::Here));
}

#[tokio::test(start_paused = true)]
async fn a_question_is_told_to_come_again_when_rooms_do_not_come() {
    let scene = Scene::new();
    scene.rooms.let_go();
    let reply = scene.get("/serving_num?event_id=Sample").await;
    reply.refuses(503, "Service Unavailable");
    assert_eq!((reply.header("retry-after"), reply.header("access-control-allow-origin")), ("1", "*"));
}

#[tokio::test]
async fn a_room_that_a_document_leaves_out_is_kept_for_one_that_has_it_again() {
    let scene = Scene::new();
    scene.join().await;
    scene.rooms.set([]);
    assert!(scene.rooms.named("sale").is_none());
    scene.rooms.take_pictures().unwrap();
    let Scene { folder, rooms, room, .. } = scene;
    drop((rooms, room));

    let rooms = open(&folder);
    rooms.set([]);
    rooms.take().unwrap();
    rooms.set([("sale".to_owned(), settings())]);

    assert_eq!(rooms.named("sale").unwrap().counters().unwrap().queue, 1);
}
