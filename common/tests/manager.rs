//! Managers: objects that any process uses, that live as long as somebody refers to them, and whoever is killed.

use common::manager::{DictProxy, ListProxy, Managed, ManagerError, Methods};
use common::{Connection, Manager, Process, StartMethod, pipe};
use libtest_mimic::{Arguments, Failed, Trial};
use std::time::{Duration, Instant};

type Outcome = Result<(), Failed>;

fn main() {
    common::init();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let mut trials = vec![
        Trial::test("a_list_does_what_a_list_does", list),
        Trial::test("a_dictionary_keeps_the_order_of_its_keys", dict),
        Trial::test("a_type_of_the_program_is_called_by_name", own_type),
        Trial::test("objects_refer_to_objects", nested),
        Trial::test("an_object_goes_with_its_last_proxy", counted),
        Trial::test("who_is_killed_refers_to_nothing", killed_client),
        Trial::test("a_message_that_nobody_reads_holds_nothing", lost_message),
        Trial::test("a_server_that_is_killed_is_an_error_for_all", killed_server),
        Trial::test("a_proxy_of_another_manager_is_refused", other_manager),
    ];
    for method in StartMethod::ALL {
        trials.push(Trial::test(format!("proxies_go_to_children::{method}"), move || {
            alone(travel, method)
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Does it in a process of its own, which has one thread.
fn alone(work: fn(StartMethod), method: StartMethod) -> Outcome {
    let child = Process::new(work, method).start_method(StartMethod::Spawn).start()?;
    let exit = child.join()?;
    if exit.is_success() { Ok(()) } else { Err(format!("it {exit}; see its message").into()) }
}

/// Waits until it holds.
fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "it never holds");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn list() -> Outcome {
    let manager = Manager::new()?;
    let list = manager.list(0..10)?;
    assert_eq!(list.len()?, 10);
    list.extend(&[10, 11])?;
    list.push(&12)?;
    list.insert(0, &-1)?;
    list.insert(100, &13)?;
    assert_eq!(list.to_vec()?, (-1..=13).collect::<Vec<_>>());
    assert_eq!((list.get(3)?, list.get(15)?), (Some(2), None));
    list.set(3, &20)?;
    let error = list.set(15, &0).unwrap_err();
    assert!(matches!(error, ManagerError::OutOfRange { index: 15, len: 15 }), "{error}");
    assert_eq!((list.pop()?, list.remove(0)?), (Some(13), -1));
    assert!(matches!(list.remove(99), Err(ManagerError::OutOfRange { .. })));
    assert_eq!((list.position(&20)?, list.position(&21)?), (Some(2), None));
    assert!(list.contains(&20)? && list.remove_item(&20)? && !list.remove_item(&20)?);
    assert_eq!(list.slice(8..100)?, [9, 10, 11, 12]);
    assert_eq!(list.slice(..=1)?, [0, 1]);
    assert_eq!(list.slice(20..)?, []);
    list.reverse()?;
    list.sort_by(|left, right| right.cmp(left).reverse())?;
    assert_eq!(list.slice(..3)?, [0, 1, 3]);
    assert_eq!(list.update(1, |element| element + 100)?, 101);
    let error = list.update(1, |_| panic!("not this one")).unwrap_err();
    assert!(error.to_string().contains("not this one"), "{error}");
    assert_eq!(list.get(1)?, Some(101));
    list.clear()?;
    assert!(list.is_empty()? && list.pop()?.is_none());
    list.extend(&[1, 2])?;
    list.repeat(2)?;
    assert_eq!(list.iter().collect::<Result<Vec<_>, _>>()?, [1, 2, 1, 2]);
    assert_eq!(list.count(&2)?, 2);
    // Large ones.
    let texts = manager.list(["a".repeat(3 << 20), String::new()])?;
    assert_eq!(texts.get(0)?.map(|text| text.len()), Some(3 << 20));
    Ok(())
}

fn dict() -> Outcome {
    let manager = Manager::new()?;
    let dict = manager.dict((65..70u32).map(|n| (n, char::from_u32(n).expect("a letter"))))?;
    assert_eq!(dict.len()?, 5);
    assert_eq!(dict.keys()?, [65, 66, 67, 68, 69]);
    assert_eq!(dict.values()?, ['A', 'B', 'C', 'D', 'E']);
    assert_eq!(dict.remove(&66)?, Some('B'));
    assert_eq!((dict.remove(&66)?, dict.get(&66)?, dict.contains_key(&66)?), (None, None, false));
    assert_eq!(dict.insert(&66, &'b')?, None);
    assert_eq!(dict.insert(&65, &'a')?, Some('A'));
    assert_eq!(dict.keys()?, [65, 67, 68, 69, 66]);
    assert_eq!(dict.get_or_insert(&65, &'x')?, 'a');
    assert_eq!(dict.get_or_insert(&70, &'x')?, 'x');
    assert_eq!(dict.pop_last()?, Some((70, 'x')));
    assert_eq!(dict.update(&1, |value| value.map_or('0', |_| '1'))?, '0');
    assert_eq!(dict.update(&1, |value| value.map_or('0', |_| '1'))?, '1');
    assert_eq!(dict.iter()?.last(), Some((1, '1')));
    dict.clear()?;
    assert!(dict.is_empty()? && dict.pop_last()?.is_none());
    Ok(())
}

struct Account {
    balance: i64,
}

impl Managed for Account {
    type Argument = i64;

    fn create(balance: i64) -> Self {
        assert!(balance >= 0, "nobody begins with {balance}");
        Self { balance }
    }

    fn methods(methods: &mut Methods<Self>) {
        methods.add("deposit", |account, amount: i64| {
            account.balance += amount;
            account.balance
        });
        methods.add("withdraw", |account, amount: i64| {
            if amount > account.balance {
                return Err(format!("{} are there", account.balance));
            }
            account.balance -= amount;
            Ok(account.balance)
        });
        methods.add("burn", |_, (): ()| -> u8 { panic!("it burns") });
    }
}

fn own_type() -> Outcome {
    let manager = Manager::builder().register::<Account>("Account").start()?;
    let account = manager.create::<Account>("Account", &10)?;
    assert_eq!(account.call::<i64>("deposit", &5i64)?, 15);
    let refused: Result<i64, String> = account.call("withdraw", &100i64)?;
    assert_eq!(refused, Err("15 are there".to_string()));
    let failed = account.call::<()>("burn", &()).unwrap_err();
    assert!(matches!(&failed, ManagerError::Failed(text) if text.contains("it burns")), "{failed}");
    assert_eq!(account.call::<i64>("deposit", &0i64)?, 15);
    assert!(matches!(account.call::<i64>("close", &()), Err(ManagerError::NoMethod { .. })));
    assert!(matches!(account.call::<i64>("deposit", "text"), Err(ManagerError::Argument(_))));
    assert!(matches!(account.call::<String>("deposit", &1i64), Err(ManagerError::Decode(_))));
    assert!(matches!(manager.create::<Account>("Bank", &1), Err(ManagerError::NoType(_))));
    assert!(matches!(manager.create::<Account>("Account", &-1), Err(ManagerError::Failed(_))));
    Ok(())
}

fn nested() -> Outcome {
    let manager = Manager::new()?;
    let inner = manager.list([1, 2])?;
    let outer = manager.list([inner.clone()])?;
    outer.push(&manager.list([3])?)?;
    inner.push(&4)?;
    let first = outer.get(0)?.ok_or("an element")?;
    assert_eq!(first.to_vec()?, [1, 2, 4]);
    assert_eq!(manager.number_of_objects()?, 3);
    let second = outer.get(1)?.ok_or("an element")?;
    outer.clear()?;
    assert_eq!(second.to_vec()?, [3]);
    drop(second);
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 2));
    let dict = manager.dict([("a".to_string(), vec![Some(inner)])])?;
    drop(first);
    let held = dict.get(&"a".to_string())?.ok_or("a value")?;
    assert_eq!(held[0].as_ref().ok_or("a list")?.len()?, 3);
    Ok(())
}

fn counted() -> Outcome {
    let manager = Manager::new()?;
    let list = manager.list([0u8])?;
    let again = list.clone();
    drop(list);
    assert_eq!(again.len()?, 1);
    drop(again);
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 0));
    Ok(())
}

type Family = (ListProxy<u32>, DictProxy<u32, ListProxy<u32>>);

fn travel(method: StartMethod) {
    fn child((list, dict): Family) {
        list.push(&1).expect("it is there");
        let mine = dict.get(&7).expect("it is there").expect("a list");
        mine.push(&2).expect("it is there");
        dict.insert(&8, &list).expect("it is there");
    }
    let manager = Manager::builder().start_method(method).start().expect("a manager");
    let list = manager.list([]).expect("a list");
    let dict = manager.dict([(7, manager.list([]).expect("a list"))]).expect("a dictionary");
    let process = Process::new(child, (list.clone(), dict.clone())).start_method(method);
    let exit = process.start().expect("a child").join().expect("its end");
    assert!(exit.is_success(), "{exit}");
    assert_eq!(list.to_vec().expect("it is there"), [1]);
    // The child has put the list into the dictionary.
    drop(list);
    let list = dict.get(&8).expect("it is there").expect("a list");
    assert_eq!(list.to_vec().expect("it is there"), [1]);
    let mine = dict.get(&7).expect("it is there").expect("a list");
    assert_eq!(mine.to_vec().expect("it is there"), [2]);
    drop((list, mine, dict));
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 0));
}

fn killed_client() -> Outcome {
    fn keep((list, ready): (ListProxy<u8>, Connection<u8, ()>)) {
        list.push(&1).expect("it is there");
        ready.send(&1).expect("the test receives");
        let _ = ready.recv();
    }
    let manager = Manager::new()?;
    let (ours, theirs) = pipe::<(), u8>()?;
    let list = manager.list([])?;
    let child = Process::new(keep, (list, theirs)).start()?;
    ours.recv()?;
    assert_eq!(manager.number_of_objects()?, 1, "the child refers to it");
    child.kill()?;
    child.join()?;
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 0));
    Ok(())
}

fn lost_message() -> Outcome {
    let manager = Manager::new()?;
    let (left, right) = pipe::<ListProxy<u8>, ListProxy<u8>>()?;
    let list = manager.list([5])?;
    left.send(&list)?;
    left.send(&list)?;
    drop(list);
    let received = right.recv()?;
    assert_eq!(received.get(0)?, Some(5));
    drop(received);
    assert_eq!(manager.number_of_objects()?, 1, "the second message holds it");
    drop((left, right));
    eventually(|| manager.number_of_objects().is_ok_and(|objects| objects == 0));
    Ok(())
}

fn killed_server() -> Outcome {
    let manager = Manager::new()?;
    let list = manager.list([1])?;
    let pid = manager.pid().to_string();
    let status = std::process::Command::new("kill").args(["-9", &pid]).status()?;
    assert!(status.success());
    eventually(|| matches!(list.len(), Err(ManagerError::Ended)));
    assert!(matches!(manager.list([1]), Err(ManagerError::Ended)));
    let (left, _right) = pipe::<ListProxy<u8>, ()>()?;
    assert!(left.send(&list).is_err());
    manager.shutdown();
    drop(list);
    Ok(())
}

fn other_manager() -> Outcome {
    let (one, two) = (Manager::new()?, Manager::new()?);
    let error = one.list([two.list([1])?]).unwrap_err();
    assert!(error.to_string().contains("another manager"), "{error}");
    // It is of its own type where it arrives.
    let (left, right) = pipe::<ListProxy<u8>, ()>()?;
    let (there, back) = pipe::<DictProxy<u8, u8>, ()>()?;
    drop((there, back));
    left.send(&one.list([1])?)?;
    drop((left, right));
    eventually(|| one.number_of_objects().is_ok_and(|objects| objects == 0));
    Ok(())
}
