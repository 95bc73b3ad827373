use futures::{FutureExt, StreamExt};

use super::*;

/// Has everything run that can.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_listens_hears_what_was_said_last_once() {
    let broadcast = Broadcast::default();
    let mut listener = broadcast.listen();
    broadcast.say("one".into());
    broadcast.say("two".into());
    assert_eq!(listener.next().now_or_never().unwrap().unwrap(), "two");
    assert!(listener.next().now_or_never().is_none());
    assert!(broadcast.listen().next().now_or_never().is_none(), "what was said before is not for them");
    broadcast.dismiss();
    broadcast.say("three".into());
    assert_eq!(listener.next().now_or_never(), Some(None), "what is told afterwards is not for them");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test awaits them")]
async fn all_who_wait_are_woken_on_whatever_thread() {
    const EACH: usize = 3 * 256 + 10;
    let broadcast = Broadcast::default();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let listeners: Vec<_> = (0..EACH).map(|_| broadcast.listen()).collect();
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    let all = listeners.into_iter().map(|listener| tokio::spawn(listener.take(1).collect::<Vec<_>>()));
                    let all: Vec<_> = all.collect();
                    futures::future::join_all(all).await.into_iter().map(Result::unwrap).collect::<Vec<_>>()
                })
            })
        })
        .collect();
    while broadcast.shared.groups.lock().values().map(|group| group.waiting()).sum::<usize>() < 3 * EACH {
        tokio::task::yield_now().await;
    }
    broadcast.say("last words".into());
    for thread in threads {
        assert_eq!(thread.join().unwrap(), vec![vec!["last words"]; EACH]);
    }
}

#[tokio::test]
async fn nothing_is_left_of_those_who_leave() {
    let broadcast = Broadcast::default();
    let mut listeners: Vec<_> = (0..3).map(|_| broadcast.listen()).collect();
    for listener in &mut listeners {
        assert!(listener.next().now_or_never().is_none());
    }
    let waiting = || broadcast.shared.groups.lock().values().map(|group| group.waiting()).sum::<usize>();
    assert_eq!((broadcast.listeners(), waiting()), (3, 3));
    listeners.truncate(1);
    assert_eq!((broadcast.listeners(), waiting()), (1, 1));
    let shared = broadcast.shared.clone();
    drop(broadcast);
    settle().await;
    assert!(shared.groups.lock().is_empty(), "the task that woke them has ended");
    assert_eq!(listeners[0].next().now_or_never(), Some(None));
}

#[test]
fn a_runtime_that_ends_takes_its_group_with_it() {
    let broadcast = Broadcast::default();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut listener = broadcast.listen();
            assert!(listener.next().now_or_never().is_none());
            let heard = listener.next();
            broadcast.say("again".into());
            assert_eq!(heard.await.unwrap(), "again");
        });
        drop(runtime);
        assert!(broadcast.shared.groups.lock().is_empty());
    }
}
