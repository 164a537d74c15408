// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bpfilter driver: `iptables-legacy` with our hook in its way.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bpfilter_proto::{OPTION_MAX, abi};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::Signal;

use crate::actor::Actor;
use crate::driver::Driver;
use crate::harness::{Context, Topic, test};
use crate::iptables::{self, feed, info, named, run, save, try_feed};
use crate::time::{ms, patience, timed, until};
use crate::{modules, process, sockopt};

#[path = "../../../drivers/bpfilter/handler/tests/blob/mod.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with tests that need more of it, and fail by panicking"
)]
mod blob;

pub(crate) const TOPIC: Topic = Topic {
    name: "bpfilter",
    modules: &[MODULE],
    tests: &[
        test(
            "the handler starts with the first call, and again after it was killed",
            starts,
        ),
        test(
            "the loader comes with the first call, and again after rmmod",
            loader,
        ),
        test("rounds of iptables-legacy -L and rmmod", many_rounds),
        test(
            "the kernel's tables are what they are without us",
            kernels_tables,
        ),
        test("our table is like the kernel's", our_table),
        test("our table is saved and restored", saved_and_restored),
        test("counters are kept when rules are added", counters),
        test("a flawed table is refused and changes nothing", flaws),
        test("options that are no tables are refused", refused),
        test(
            "who may not ask the kernel does not reach the handler",
            unprivileged,
        ),
        test("callers of 32 bits are the kernel's", compat),
        test("options of more than 1 MiB are the kernel's", long_options),
        test("other options and families are the kernel's", others),
        test("with and without ip_tables", ip_tables),
        test(
            "a stopped handler: the kernel answers at the deadline",
            stopped,
        ),
        test("four clients while handlers are killed", killed),
        test("four clients while the module is unloaded", unloaded),
        test("rmmod frees callers from a stopped handler", abandoned),
    ],
};

const MODULE: &str = "bpfilter_umd";
const LOADER: &str = "bpfilter_umd_loader";
const DRIVER: Driver = Driver("bpfilter");

/// The kernel's own tables.
const TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// The modules behind them, each before what it needs.
const KERNELS: [&str; 8] = [
    "iptable_filter",
    "iptable_nat",
    "iptable_mangle",
    "iptable_raw",
    "iptable_security",
    "ip_tables",
    "ip6table_filter",
    "ip6_tables",
];

/// Whatever is there on the way to the kernel's code is out of it.
fn without_hook<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    unload()?;
    let result = work();
    modules::load(MODULE)?;
    result
}

fn unload() -> Result<()> {
    modules::unload(MODULE)
}

/// The calls that came to the handler while something was done.
fn requests<R>(work: impl FnOnce() -> Result<R>) -> Result<(R, u64)> {
    let before = DRIVER.number("requests")?;
    let result = work()?;
    Ok((result, DRIVER.number("requests")? - before))
}

/// The handler's process, which it takes a call to start.
fn handler() -> Result<i32> {
    info("bpfilter")?;
    DRIVER.pid()
}

/// What the kernel says of its own table, which takes a module to be there.
fn kernels_info() -> Result<Vec<u8>> {
    modules::load("iptable_filter")?;
    info("filter").context("the kernel's table")
}

fn starts(_: &Context) -> Result<()> {
    DRIVER.expect("starts", "0")?;
    // A loader that is too slow for the call leaves that to the kernel.
    DRIVER.patiently(|| {
        run(&["iptables-legacy", "-vnL"])?;
        let first = DRIVER.pid()?;
        process::signal(first, Signal::KILL)?;
        run(&["iptables-legacy", "-vnL"])?;
        let second = DRIVER.pid()?;
        ensure!(first != second, "the killed handler {first} is in service");
        DRIVER.expect("starts", "2")?;
        DRIVER.kill_handler()?;
        run(&["iptables-legacy", "-t", "bpfilter", "-vnL"]).map(drop)
    })?;
    DRIVER.expect("starts", "3")
}

fn loader(context: &Context) -> Result<()> {
    modules::unload(LOADER)?;
    for round in 0..3 {
        ensure!(!modules::is_loaded(LOADER), "who has loaded {LOADER}?");
        let pid = handler().with_context(|| format!("round {round}"))?;
        ensure!(modules::is_loaded(LOADER), "{LOADER} is not loaded");
        let (removed, took) = timed(|| modules::remove(LOADER));
        removed.with_context(|| format!("rmmod {LOADER}"))?;
        context.at_once(took)?;
        ensure!(!process::exists(pid), "the handler {pid} is still there");
    }
    handler().map(drop)
}

/// Unloads the module at the first attempt and without a wait, also while callers or handlers hang.
fn remove(context: &Context) -> Result<()> {
    let (removed, took) = timed(|| modules::remove(MODULE));
    removed.with_context(|| format!("rmmod {MODULE}"))?;
    // It waits for grace periods of the kernel's, a few times.
    ensure!(took <= 5 * context.grace(), "rmmod took {took:?}");
    Ok(())
}

fn many_rounds(context: &Context) -> Result<()> {
    unload()?;
    let expected = run(&["iptables-legacy", "-L", "-n"])?;
    for round in 0..context.rounds(10, 50) {
        modules::load(MODULE)?;
        let text = run(&["iptables-legacy", "-L", "-n"])?;
        ensure!(text == expected, "round {round}: {text}");
        DRIVER.pid()?;
        remove(context)?;
        let left = process::handlers();
        ensure!(left.is_empty(), "handlers {left:?} are left");
    }
    Ok(())
}

/// What a user does to a table. Some of it fails, and always in the same way.
const COMMANDS: &[&str] = &[
    "-S",
    "-P FORWARD DROP",
    "-N one",
    "-N one",
    "-N two",
    "-A INPUT -p tcp -m tcp --dport 22 -s 10.0.0.0/8 -i eth0 -j one",
    "-A INPUT ! -p udp -j two",
    "-I INPUT 1 -p icmp -m icmp --icmp-type 8 -j ACCEPT",
    "-A one -j two",
    "-A one ! -s 192.168.1.1 ! -o eth+ -g two",
    "-A two -m comment --comment two_words -j RETURN",
    "-A two -p tcp -m multiport --dports 1,5:9 -j REJECT --reject-with tcp-reset",
    "-A OUTPUT -m mark --mark 0x1/0xf -j DROP",
    "-A OUTPUT -m ttl --ttl-gt 3 -j QUEUE",
    "-A FORWARD ! -f -j ACCEPT -c 7 700",
    "-A nowhere -j ACCEPT",
    "-A INPUT -j nowhere",
    "-C OUTPUT -m mark --mark 0x1/0xf -j DROP",
    "-C OUTPUT -m mark --mark 0x2/0xf -j DROP",
    "-L -v -n -x --line-numbers",
    "-R INPUT 2 -p udp -j DROP",
    "-D INPUT 1",
    "-D INPUT 9",
    "-D one -j two",
    "-X two",
    "-E two three",
    "-S INPUT -v",
    "-Z FORWARD",
    "-P OUTPUT DROP",
    "-L three -n",
    "-F one",
    "-X one",
    "-Z",
    "-P INPUT RETURN",
    "-F",
    "-X",
    "-P FORWARD ACCEPT",
    "-P OUTPUT ACCEPT",
];

/// Does all that to a table: what was printed, and what the table was after some of the steps.
fn played(table: &str) -> Result<String> {
    let mut text = String::new();
    for (number, command) in COMMANDS.iter().enumerate() {
        let (success, printed) = try_feed(&words(&["iptables-legacy", "-t", table], command), "")?;
        text += &format!("$ {command}: {success}\n{printed}");
        if number % 5 == 4 {
            text += &save(&["-c", "-t", table])?;
        }
    }
    Ok(text.replace("bpfilter", "filter"))
}

/// Fails where a text is not what it should be, with the first line that is not.
fn same(text: &str, expected: &str) -> Result<()> {
    let lines = text.lines().zip(expected.lines());
    for (number, (line, wanted)) in lines.enumerate() {
        ensure!(line == wanted, "line {number} is {line:?}, not {wanted:?}");
    }
    ensure!(text.len() == expected.len(), "the end is missing, or more");
    Ok(())
}

fn kernels_tables(_: &Context) -> Result<()> {
    let expected = without_hook(|| played("filter"))?;
    ensure!(expected.contains(": true") && expected.contains(": false"));
    let (text, requests) = requests(|| played("filter"))?;
    same(&text, &expected)?;
    ensure!(requests > 100, "{requests} calls came to the handler");

    let rules = "-A OUTPUT -d 192.0.2.1/32 -p tcp -m tcp --sport 1:9 -j ACCEPT";
    let all: String = TABLES
        .iter()
        .map(|table| format!("*{table}\n:OUTPUT ACCEPT [4:40]\n[5:50] {rules}\nCOMMIT\n"))
        .collect();
    feed(&["iptables-legacy-restore", "-c"], &all)?;
    let hooked = save(&["-c"])?;
    let plain = without_hook(|| save(&["-c"]))?;
    same(&hooked, &plain)?;
    for table in TABLES {
        let heading = format!("*{table}\n");
        ensure!(plain.contains(&heading), "{table} is not saved:\n{plain}");
    }
    ensure!(plain.matches(&format!("[5:50] {rules}")).count() == TABLES.len());
    without_hook(|| feed(&["iptables-legacy-restore", "-c"], &hooked))?;
    same(&save(&["-c"])?, &plain)?;
    for table in TABLES {
        run(&["iptables-legacy", "-t", table, "-F"])?;
        run(&["iptables-legacy", "-t", table, "-Z"])?;
    }
    Ok(())
}

fn our_table(_: &Context) -> Result<()> {
    let expected = without_hook(|| played("filter"))?;
    let kernels = save(&["-c"])?;
    let (text, requests) = requests(|| played("bpfilter"))?;
    same(&text, &expected)?;
    ensure!(requests > 100, "{requests} calls came to the handler");
    same(&save(&["-c"])?, &kernels).context("the kernel's tables")
}

/// A table as it is saved.
const SAVED: &str = "*bpfilter
:INPUT DROP [1:2]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [18446744073709551615:18446744073709551615]
:one - [0:0]
:one_more - [0:0]
:two - [0:0]
[3:4] -A INPUT -s 192.0.2.0/24 -i eth0 -p tcp -m tcp --dport 80 -j one
[5:6] -A INPUT -m ttl --ttl-eq 64 -j DROP
[7:8] -A one -m mark --mark 0x17 -j two
[9:10] -A one_more -m comment --comment \"a b\" -j RETURN
[11:12] -A two ! -o lo -g one_more
COMMIT
";

fn restore(table: &str) -> Result<()> {
    feed(&["iptables-legacy-restore", "-c"], table).map(drop)
}

fn saved_and_restored(_: &Context) -> Result<()> {
    let empty = save(&["-c", "-t", "bpfilter"])?;
    let table = SAVED;
    for _ in 0..3 {
        restore(table)?;
        same(&save(&["-c", "-t", "bpfilter"])?, table)?;
    }
    // Without -c, counters are those of a new table.
    feed(&["iptables-legacy-restore"], table)?;
    let zero = save(&["-c", "-t", "bpfilter"])?;
    ensure!(zero.matches("[0:0]").count() == 11, "{zero}");
    // A table that is not there as a whole stays as it is.
    let bad = table.replace("COMMIT", "-A INPUT -j nowhere\nCOMMIT");
    let (success, _) = try_feed(&["iptables-legacy-restore", "-c"], &bad)?;
    ensure!(!success, "a table with a jump to nowhere was restored");
    same(&save(&["-c", "-t", "bpfilter"])?, &zero)?;
    // Many rules, of all the lengths that there are.
    let rules: String = (0..1_000)
        .map(|n| {
            format!("-A INPUT -p tcp -m comment --comment c{n} -m mark --mark {n:#x} -j DROP\n")
        })
        .collect();
    let many = format!("*bpfilter\n:INPUT ACCEPT\n{rules}COMMIT\n");
    feed(&["iptables-legacy-restore"], &many)?;
    let text = save(&["-t", "bpfilter"])?;
    ensure!(text.contains(&rules), "1000 rules are not what they were");
    restore(&empty)?;
    // A new handler has a new table.
    restore(table)?;
    DRIVER.kill_handler()?;
    same(&save(&["-c", "-t", "bpfilter"])?, &empty)
}

fn counters(_: &Context) -> Result<()> {
    for name in ["bpfilter", "filter"] {
        restore(&SAVED.replace("bpfilter", name))?;
        let rule = "-s 198.51.100.1/32 -j ACCEPT";
        let change = |command: &str| {
            run(&words(&["iptables-legacy", "-t", name], command))?;
            save(&["-c", "-t", name])
        };
        let first = "[3:4] -A INPUT -s 192.0.2.0/24 -i eth0 -p tcp -m tcp --dport 80 -j one\n";
        let second = "[5:6] -A INPUT -m ttl --ttl-eq 64 -j DROP\n";
        let added = format!("[0:0] -A INPUT {rule}\n");
        // Of policies iptables itself forgets them.
        let table = SAVED.replace("bpfilter", name).replace("[1:2]", "[0:0]");
        let table = table.replace("[18446744073709551615:18446744073709551615]", "[0:0]");
        let text = change(&format!("-A INPUT {rule}"))?;
        let wanted = table.replace(second, &format!("{second}{added}"));
        same(&text, &wanted)?;
        change("-D INPUT 1")?;
        let text = change(&format!("-I INPUT {rule}"))?;
        same(&text, &wanted.replace(first, &added))?;
        let text = change("-Z INPUT")?;
        let zeroed = second.replace("[5:6]", "[0:0]");
        same(
            &text,
            &wanted.replace(first, &added).replace(second, &zeroed),
        )?;
        empty(name)?;
    }
    Ok(())
}

fn words<'w>(begin: &[&'w str], rest: &'w str) -> Vec<&'w str> {
    begin.iter().copied().chain(rest.split(' ')).collect()
}

/// Leaves a table as it is at first.
fn empty(table: &str) -> Result<()> {
    let chains = ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n";
    restore(&format!("*{table}\n{chains}COMMIT\n"))
}

/// A table's outline and entries.
fn read(table: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let outline = info(table)?;
    let size = abi::bytes_at::<4>(&outline, abi::info::SIZE).context("a size")?;
    let length = abi::entries::LEN + u32::from_le_bytes(size) as usize;
    let mut entries = named(table, length);
    entries[abi::entries::SIZE..][..size.len()].copy_from_slice(&size);
    let told = iptables::get(abi::GET_ENTRIES, &mut entries)?;
    ensure!(told == length, "{told} bytes of {length} came");
    Ok((outline, entries))
}

fn flaws(_: &Context) -> Result<()> {
    for name in ["bpfilter", "filter"] {
        restore(&SAVED.replace("bpfilter", name))?;
        let before = read(name)?;
        let entries = abi::u32_at(&before.0, abi::info::NUM_ENTRIES).context("a number")?;
        let good = blob::rich().blob(name, entries);
        for (number, (flaw, spoil)) in blob::flaws().into_iter().enumerate() {
            let mut bad = good.clone();
            spoil(&mut bad);
            let result = iptables::set(abi::SET_REPLACE, &bad.bytes);
            // The kernel has other numbers for some.
            let right = match name {
                "bpfilter" => result == Err(Errno::INVAL),
                _ => result.is_err(),
            };
            ensure!(right, "{name}, {flaw} ({number}): {result:?}");
            ensure!(
                read(name)? == before,
                "{name}, {flaw} ({number}) changed it"
            );
        }
        iptables::set(abi::SET_REPLACE, &good.bytes).context("the table without a flaw")?;
        let text = save(&["-t", name])?;
        ensure!(
            text.contains("-A INPUT -m ttl --ttl-eq 64 -m mark"),
            "{text}"
        );
        if name == "bpfilter" {
            let (_, entries) = read(name)?;
            ensure!(
                entries[abi::entries::LEN..] == *good.entries(),
                "read back otherwise"
            );
        }
        empty(name)?;
    }
    Ok(())
}

fn refused(_: &Context) -> Result<()> {
    let ours = info("bpfilter")?;
    let wrong = |get: bool, option, value: &[u8], expected: Errno| {
        let result = match get {
            true => iptables::get(option, &mut value.to_vec()).map(drop),
            false => iptables::set(option, value),
        };
        ensure!(
            result == Err(expected),
            "get {get}, option {option}, {} bytes: {result:?}",
            value.len()
        );
        Ok(())
    };
    let size = abi::u32_at(&ours, abi::info::SIZE).unwrap_or_default() as usize;
    let entries = named("bpfilter", abi::entries::LEN + size);
    for length in [32, abi::info::LEN - 1, abi::info::LEN + 1, OPTION_MAX] {
        wrong(
            true,
            abi::GET_INFO,
            &named("bpfilter", length),
            Errno::INVAL,
        )?;
    }
    wrong(true, abi::GET_ENTRIES, &entries, Errno::INVAL)?;
    let nothing = named("bpfilter", abi::entries::LEN);
    wrong(true, abi::GET_ENTRIES, &nothing, Errno::AGAIN)?;
    let mut blob = blob::Table::default().blob("bpfilter", 4);
    wrong(false, abi::SET_REPLACE, &blob.bytes[..90], Errno::INVAL)?;
    blob.put(abi::replace::NUM_COUNTERS, 3);
    wrong(false, abi::SET_REPLACE, &blob.bytes, Errno::AGAIN)?;
    blob.put(abi::replace::NUM_COUNTERS, 0);
    wrong(false, abi::SET_REPLACE, &blob.bytes, Errno::INVAL)?;
    let mut counters = named("bpfilter", abi::counters_info::LEN + 3 * abi::COUNTER_LEN);
    counters[abi::counters_info::NUM_COUNTERS] = 3;
    wrong(false, abi::SET_ADD_COUNTERS, &counters, Errno::INVAL)?;
    counters[abi::counters_info::NUM_COUNTERS] = 4;
    wrong(false, abi::SET_ADD_COUNTERS, &counters, Errno::INVAL)?;
    ensure!(info("bpfilter")? == ours, "the table has changed");
    Ok(())
}

/// What becomes of the question for a table, asked by whoever may not ask, or elsewhere.
fn asked_by_others(table: &str) -> Result<Vec<(&'static str, Result<(), Errno>)>> {
    let words = &["info", table];
    Ok(vec![
        ("nobody", Actor::nobody(words)?),
        ("root of a user namespace", Actor::unshared(&["-r"], words)?),
        ("its own network", Actor::unshared(&["-r", "-n"], words)?),
        ("root, its own network", Actor::unshared(&["-n"], words)?),
    ])
}

fn unprivileged(_: &Context) -> Result<()> {
    handler()?;
    kernels_info()?;
    for (table, missing) in [("filter", false), ("bpfilter", true)] {
        let plain = without_hook(|| asked_by_others(table))?;
        handler()?;
        let (hooked, seen) = requests(|| asked_by_others(table))?;
        ensure!(hooked == plain, "{table}: {hooked:?}, not {plain:?}");
        ensure!(seen == 0, "{seen} calls came to the handler");
        let results: Vec<_> = hooked.into_iter().map(|(_, result)| result).collect();
        let (denied, known) = (
            Err(Errno::PERM),
            if missing { Err(Errno::NOENT) } else { Ok(()) },
        );
        ensure!(
            results == [denied, denied, known, known],
            "{table}: {results:?}"
        );
    }
    let (result, seen) = requests(|| Actor::spawn(&["info", "bpfilter"])?.wait())?;
    ensure!(
        (result.0, seen) == (Ok(()), 1),
        "root itself: {result:?}, {seen}"
    );
    Ok(())
}

fn compat(_: &Context) -> Result<()> {
    handler()?;
    kernels_info()?;
    let ask = |table| {
        Actor::spawn(&["info32", table])?
            .wait()
            .map(|(result, _)| result)
    };
    let (results, seen) = requests(|| Ok((ask("filter")?, ask("bpfilter")?)))?;
    ensure!(
        results == (Ok(()), Err(Errno::NOENT)),
        "it gave {results:?}"
    );
    ensure!(seen == 0, "{seen} calls came to the handler");
    Ok(())
}

fn long_options(_: &Context) -> Result<()> {
    handler()?;
    kernels_info()?;
    for table in ["filter", "bpfilter"] {
        for (length, wanted) in [(OPTION_MAX, 1), (OPTION_MAX + 1, 0), (4 * OPTION_MAX, 0)] {
            let mut value = named(table, length);
            let entries = u32::try_from(length - abi::entries::LEN)?;
            value[abi::entries::SIZE..][..4].copy_from_slice(&entries.to_le_bytes());
            let (result, seen) = requests(|| Ok(iptables::get(abi::GET_ENTRIES, &mut value)))?;
            let errno = match (table, wanted) {
                ("bpfilter", 0) => Errno::NOENT,
                _ => Errno::AGAIN,
            };
            ensure!(
                result == Err(errno) && seen == wanted,
                "{table}, {length} bytes: {result:?}, {seen} calls came to the handler"
            );
            let (result, seen) = requests(|| Ok(iptables::set(abi::SET_ADD_COUNTERS, &value)))?;
            ensure!(
                result == Err(Errno::INVAL) && seen == wanted,
                "{table}, {length} bytes of counters: {result:?}, {seen} calls"
            );
        }
    }
    Ok(())
}

fn others(_: &Context) -> Result<()> {
    handler()?;
    let ip6 = || {
        let mut text = run(&["ip6tables-legacy", "-A", "INPUT", "-s", "2001:db8::/32"])?;
        text += &run(&["ip6tables-legacy-save", "-t", "filter"])?;
        text += &run(&["ip6tables-legacy", "-F"])?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let text: Vec<&str> = lines.collect();
        let (found, _) = try_feed(&["ip6tables-legacy", "-t", "bpfilter", "-L"], "")?;
        Ok((text.join("\n"), found))
    };
    let options = || {
        let mut results = Vec::new();
        for family in [AddressFamily::INET, AddressFamily::INET6] {
            let socket = socket(family, SocketType::DGRAM, None)?;
            for level in [sockopt::IP, sockopt::IPV6] {
                for option in [2, 63, 64, 65, 66, 67, 68] {
                    if family == AddressFamily::INET6 || level == sockopt::IP {
                        let ours = level == sockopt::IP && (64..67).contains(&option);
                        let result = sockopt::get(&socket, level, option, &mut named("x", 84));
                        results.extend((!ours).then_some((level, option, result)));
                    }
                }
            }
        }
        anyhow::Ok(results)
    };
    let plain = without_hook(|| Ok((ip6()?, options()?)))?;
    handler()?;
    let (hooked, seen) = requests(ip6)?;
    ensure!(hooked == plain.0, "{hooked:?}, not {:?}", plain.0);
    ensure!(
        !hooked.1 && hooked.0.contains("2001:db8::/32"),
        "{hooked:?}"
    );
    ensure!(seen == 0, "{seen} calls of ip6tables came to the handler");
    let hooked = options()?;
    ensure!(hooked == plain.1, "{hooked:?}, not {:?}", plain.1);
    Ok(())
}

/// Takes the kernel's own code away.
fn remove_ip_tables() {
    for module in KERNELS {
        // What is not there, or in use by one that comes later, stays.
        let _ = modules::remove(module);
    }
}

fn ip_tables(context: &Context) -> Result<()> {
    remove_ip_tables();
    ensure!(!modules::is_loaded("ip_tables"), "ip_tables is still there");
    handler()?;
    let asked = info("filter");
    ensure!(
        asked == Err(Errno::NOPROTOOPT),
        "without ip_tables: {asked:?}"
    );
    run(&[
        "iptables-legacy",
        "-t",
        "bpfilter",
        "-A",
        "INPUT",
        "-j",
        "DROP",
    ])?;
    let text = save(&["-t", "bpfilter"])?;
    ensure!(text.contains("-A INPUT -j DROP"), "{text}");
    ensure!(
        !modules::is_loaded("iptable_filter"),
        "who has loaded that?"
    );
    run(&["iptables-legacy", "-L", "-n"]).context("which brings ip_tables")?;
    let (over, quiet) = (AtomicBool::new(false), AtomicBool::new(false));
    let (asked, strange) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    let ask = |table| {
        asked.fetch_add(1, Ordering::Relaxed);
        let result = info(table).map(drop);
        // While it comes and goes the kernel has its table, or has it not.
        let gone = matches!(result, Err(Errno::NOPROTOOPT | Errno::NOENT));
        if result.is_err() && !(gone && table == "filter") {
            strange.lock().map(|mut all| all.push((table, result))).ok();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                ask("bpfilter");
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // Whoever asks for the kernel's table brings it back.
                match quiet.load(Ordering::Relaxed) {
                    true => thread::sleep(ms(1)),
                    false => ask("filter"),
                }
            }
        });
        let moved = (0..context.rounds(2, 5)).try_for_each(|_| {
            thread::sleep(ms(5));
            remove_ip_tables();
            quiet.store(true, Ordering::Relaxed);
            until("ip_tables goes", || {
                remove_ip_tables();
                !modules::is_loaded("ip_tables")
            })?;
            quiet.store(false, Ordering::Relaxed);
            modules::load("iptable_filter")
        });
        over.store(true, Ordering::Relaxed);
        moved
    })?;
    let asked = asked.into_inner();
    let strange = strange.into_inner().unwrap_or_default();
    ensure!(strange.is_empty(), "{asked} questions gave {strange:?}");
    ensure!(asked >= 20, "only {asked} questions were asked");
    empty("bpfilter")
}

fn stopped(context: &Context) -> Result<()> {
    let expected = kernels_info()?;
    process::signal(handler()?, Signal::STOP)?;
    let (told, took) = timed(|| info("filter"));
    ensure!(told == Ok(expected.clone()), "it gave {told:?}");
    context.at_deadline(ms(1_000), took)?;
    DRIVER.await_value("last_exit", "signal 9")?;
    process::signal(handler()?, Signal::STOP)?;
    let (told, took) = timed(|| info("bpfilter"));
    ensure!(told == Err(Errno::NOENT), "it gave {told:?}");
    context.at_deadline(ms(1_000), took)
}

/// How many tables are saved at least while there is trouble.
const SERVED: u32 = 10;

/// Four clients that save the kernel's table again and again while there is trouble, so many rounds at least.
/// Whatever happens, they get what they got before.
fn under_load(rounds: u32, mut trouble: impl FnMut(u32) -> Result<()>) -> Result<()> {
    // A kernel's table that is asked for by several at first can be missing, with us or without.
    run(&[
        "iptables-legacy",
        "-A",
        "INPUT",
        "-s",
        "192.0.2.1",
        "-j",
        "DROP",
    ])?;
    let expected = save(&["-t", "filter"])?;
    let over = AtomicBool::new(false);
    let (served, wrong) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    let mut round = 0;
    let troubled = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let begin = Instant::now();
                    match save(&["-t", "filter"]) {
                        Ok(text) if text == expected => {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        other => wrong.lock().map(|mut all| all.push(other)).unwrap_or(()),
                    }
                    // Clients that never pause would leave one processor no time for anybody else.
                    thread::sleep(begin.elapsed() * 2);
                }
            });
        }
        let enough = |round| round >= rounds && served.load(Ordering::Relaxed) >= SERVED;
        let mut troubled = Ok(());
        // A client that is served needs far fewer rounds: else nobody is.
        while troubled.is_ok() && !enough(round) && round < 20 * rounds {
            troubled = trouble(round).with_context(|| format!("round {round}"));
            round += 1;
        }
        over.store(true, Ordering::Relaxed);
        troubled
    });
    let wrong = wrong.into_inner().unwrap_or_default();
    ensure!(wrong.is_empty(), "clients got {wrong:?}");
    troubled?;
    let served = served.into_inner();
    ensure!(
        round >= rounds && served >= SERVED,
        "only {round} rounds, and {served} tables saved"
    );
    run(&["iptables-legacy", "-F"]).map(drop)
}

fn killed(_: &Context) -> Result<()> {
    let mut kills = 0;
    under_load(20, |round| {
        until("a client has started a handler", || DRIVER.pid().is_ok())?;
        // It may have ended by itself just now.
        let killed = DRIVER
            .pid()
            .and_then(|pid| process::signal(pid, Signal::KILL));
        kills += u32::from(killed.is_ok());
        thread::sleep(Duration::from_micros(3_000 + u64::from(round % 7) * 1_700));
        Ok(())
    })?;
    ensure!(kills >= 5, "only {kills} handlers were killed");
    DRIVER.restart()?;
    info("bpfilter").map(drop).context("afterwards")
}

fn unloaded(context: &Context) -> Result<()> {
    let file = modules::file(MODULE)?;
    under_load(5, |round| {
        remove(context)?;
        modules::insert(&file).context("loading it again")?;
        thread::sleep(Duration::from_micros(u64::from(round % 5) * 9_000));
        Ok(())
    })?;
    info("bpfilter").map(drop).context("afterwards")
}

fn abandoned(context: &Context) -> Result<()> {
    let expected = kernels_info()?;
    let pid = handler()?;
    // Nobody may wait for as long as that; the module goes, and its setting with it.
    DRIVER.set_deadline(patience())?;
    process::stop(pid)?;
    let (kernels, ours) = thread::scope(|scope| {
        let kernels = scope.spawn(|| timed(|| info("filter")));
        let ours = scope.spawn(|| timed(|| info("bpfilter")));
        let waits = until("both callers wait", || process::waiting_threads() == 2);
        let begin = Instant::now();
        let removed = waits.and_then(|()| remove(context));
        if removed.is_err() {
            // Whoever waits shall not do so for a minute.
            let _ = process::signal(pid, Signal::KILL);
        }
        let lost = |_| anyhow::anyhow!("a caller panicked");
        let results = (
            kernels.join().map_err(lost)?.0,
            ours.join().map_err(lost)?.0,
        );
        removed?;
        // The callers as well.
        ensure!(begin.elapsed() <= 6 * context.grace(), "they waited on");
        anyhow::Ok(results)
    })?;
    ensure!(kernels == Ok(expected), "the kernel's table: {kernels:?}");
    ensure!(ours == Err(Errno::NOENT), "our table: {ours:?}");
    until("the handler is gone", || !process::exists(pid))
}
