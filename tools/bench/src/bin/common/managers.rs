//! Objects of a manager.

use common::manager::ListProxy;
use common::sync::Barrier;
use common::{Manager, Process};
use peers::{Run, us_per};

const CALLS: u32 = 300;
/// How many calls several clients make together.
const TOGETHER: u32 = 12_800;

/// Makes so many calls when all are there.
fn client((list, barrier, count): (ListProxy<i64>, Barrier, u32)) {
    barrier.wait().unwrap();
    for _ in 0..count {
        assert_eq!(list.get(0).unwrap(), Some(7));
    }
    barrier.wait().unwrap();
}

/// How long a call takes on average where so many processes call at the same time.
fn together(run: &Run, clients: u32) {
    let metric = format!("manager_clients_{clients}");
    if !run.wants(&metric) {
        return;
    }
    let manager = Manager::new().unwrap();
    let list = manager.list([7]).unwrap();
    run.bench(&metric, "us", || {
        let barrier = Barrier::new(clients + 1).unwrap();
        let argument = (list.clone(), barrier.clone(), TOGETHER / clients);
        let start = || Process::new(client, argument.clone()).start().unwrap();
        let children: Vec<_> = (0..clients).map(|_| start()).collect();
        barrier.wait().unwrap();
        let each = us_per(TOGETHER as usize, || {
            barrier.wait().unwrap();
        });
        for child in children {
            assert!(child.join().unwrap().is_success());
        }
        each
    });
}

pub(crate) fn bench(run: &Run) {
    together(run, 4);
    together(run, 64);
    run.bench("manager_start", "ms", || {
        us_per(3, || {
            for _ in 0..3 {
                Manager::new().unwrap().shutdown();
            }
        }) / 1e3
    });
    let metrics = [
        "list_append",
        "list_getitem",
        "dict_set",
        "dict_get",
        "value_get",
        "value_set",
        "lock_pair",
        "queue_put_get",
    ]
    .map(|name| format!("manager_{name}"));
    if !run.wants_any(&metrics.each_ref().map(String::as_str)) {
        return;
    }
    let manager = Manager::new().unwrap();
    let list = manager.list(0..10i64).unwrap();
    let dict = manager.dict([("a".to_string(), 1i64)]).unwrap();
    let (value, lock) = (manager.value(0i64).unwrap(), manager.lock().unwrap());
    let queue = manager.queue::<i64>(0).unwrap();
    let key = "a".to_string();
    let operations: [&dyn Fn(); 8] = [
        &|| list.push(&1).unwrap(),
        &|| assert_eq!(list.get(0).unwrap(), Some(0)),
        &|| assert!(dict.insert(&key, &2).unwrap().is_some()),
        &|| assert!(dict.get(&key).unwrap().is_some()),
        &|| assert!(value.get().unwrap() >= 0),
        &|| value.set(3).unwrap(),
        &|| drop(lock.acquire().unwrap()),
        &|| {
            queue.put(&1).unwrap();
            queue.get().unwrap();
        },
    ];
    for (metric, operation) in metrics.iter().zip(operations) {
        run.bench(metric, "us", || us_per(CALLS as usize, || (0..CALLS).for_each(|_| operation())));
    }
}
