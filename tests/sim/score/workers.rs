//! Many independent runs on the machine's cores; the answers in the order of the questions.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub fn each<Q: Sync, A: Send>(questions: &[Q], answer: impl Fn(&Q) -> A + Sync) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let answers: Vec<Mutex<Option<A>>> = questions.iter().map(|_| Mutex::new(None)).collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(question) = questions.get(place) else { break };
                    let given = answer(question);
                    *answers[place].lock().expect("no panic before") = Some(given);
                }
            });
        }
    });
    answers
        .into_iter()
        .map(|answer| answer.into_inner().expect("no panic before").expect("an answer"))
        .collect()
}
