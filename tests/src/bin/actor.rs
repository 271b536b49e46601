//! The processes that the end-to-end tests and the benchmark watch: one small program that does on request what real
//! ones do.
//!
//! `actor MODE ARGUMENTS... [-- MARKS...]`: what follows `--` is ignored, tests mark their processes with it. It says
//! on stdout, one line of JSON, what it knows for sure (its children's rusage, for instance), for the daemon's figures
//! to be held against. A wrong call ends with code 2 and a line on stderr.

use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _, pipe, stdin, stdout};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

type Outcome = Result<ExitCode, Box<dyn Error>>;

fn main() -> ExitCode {
    // Tests hand over bytes that are not UTF-8; they are for the daemon to read, not for us.
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    act(&arguments).unwrap_or_else(|error| {
        eprintln!("actor {arguments:?}: {error}");
        ExitCode::from(2)
    })
}

fn act(arguments: &[String]) -> Outcome {
    let own = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let (own, marks) = arguments.split_at(own);
    let Some((mode, rest)) = own.split_first() else { return Err("no mode given".into()) };
    match mode.as_str() {
        // exit CODE: ends at once.
        "exit" => Ok(ExitCode::from(number::<u8>(rest, 0)?)),
        // sleep MS: lives so long.
        "sleep" => {
            thread::sleep(Duration::from_millis(number(rest, 0)?));
            Ok(ExitCode::SUCCESS)
        }
        // burn MS [THREADS [stay]]: uses so much CPU time in each thread; with `stay` its first thread outlives the others
        // until our stdin is closed.
        "burn" => {
            let threads = if rest.len() > 1 { number(rest, 1)? } else { 1 };
            burn(number(rest, 0)?, threads, rest.get(2).is_some_and(|word| word == "stay"))
        }
        // bursts COUNT BURN_MS REST_MS THREADS: one of its threads uses CPU time so often, with rests; tells when it is
        // done, and lives until our stdin is closed.
        "bursts" => bursts(rest),
        // threads COUNT MS: holds so many threads (its first included) for so long.
        "threads" => threads(rest),
        // raise SIGNAL [core]: sends itself the signal; with `core` it may leave a core file in its folder.
        "raise" => raise(number(rest, 0)?, rest.get(1).is_some_and(|word| word == "core")),
        // rename NAME MS: takes another comm and lives so long.
        "rename" => {
            fs::write("/proc/self/comm", rest.first().ok_or("no name given")?)?;
            thread::sleep(Duration::from_millis(number(rest, 1)?));
            Ok(ExitCode::SUCCESS)
        }
        // eat MIB MS: makes so much memory resident and holds it for so long.
        "eat" => eat(rest),
        // exec LINKS CODE: executes itself so often, then ends with the code.
        "exec" => exec_chain(number(rest, 0)?, number(rest, 1)?, marks),
        // exec-in-thread CODE: a second thread executes `actor exit CODE`.
        "exec-in-thread" => exec_in_thread(number(rest, 0)?, marks),
        // spawn COUNT AT_ONCE MODE...: children `actor MODE...`, so many at a time; `{}` stands for a child's number,
        // `{byte}` for that modulo 256.
        "spawn" => spawn(number(rest, 0)?, number(rest, 1)?, rest.get(2..).unwrap_or_default(), marks),
        // within CGROUP MODE...: any mode in that cgroup (its folder in the unified hierarchy), and a second line: the CPU
        // time that the cgroup was charged for meanwhile, less our own.
        "within" => within(rest, marks),
        // forks PER_SECOND: children that end before they execute anything, until our stdin is closed.
        "forks" => forks(number(rest, 0)?),
        // herd COUNT MODE...: children that live until our stdin is closed (or they end by themselves).
        "herd" => herd(number(rest, 0)?, rest.get(1..).unwrap_or_default(), marks),
        // pace PER_SECOND MS: short children at an even pace.
        "pace" => pace(number(rest, 0)?, number(rest, 1)?, marks),
        // loop COUNT: fork, exec and wait so often, timed; the children are `/bin/true`.
        "loop" => timed_loop(number(rest, 0)?),
        // pingpong COUNT: two threads on one CPU hand a byte to and fro so often, timed.
        "pingpong" => pingpong(number(rest, 0)?),
        other => Err(format!("unknown mode {other}").into()),
    }
}

fn number<T: FromStr>(arguments: &[String], index: usize) -> Result<T, Box<dyn Error>> {
    let text = arguments.get(index).ok_or_else(|| format!("argument {} is missing", index + 1))?;
    text.parse().map_err(|_| format!("{text} is not a number that fits").into())
}

/// One line of JSON with figures.
fn tell(figures: &[(&str, u64)]) -> Result<(), Box<dyn Error>> {
    let object: serde_json::Map<_, _> =
        figures.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let mut out = stdout().lock();
    writeln!(out, "{}", serde_json::Value::Object(object))?;
    Ok(out.flush()?)
}

fn burn(millis: u64, count: usize, stay: bool) -> Outcome {
    let wanted = Duration::from_millis(millis);
    thread::scope(|scope| {
        for _ in 1..count {
            scope.spawn(|| burn_here(wanted));
        }
        burn_here(wanted);
    });
    tell(&[("cpu_ns", cpu_ns(&getrusage(UsageWho::RUSAGE_SELF)?))])?;
    if stay {
        std::io::copy(&mut stdin().lock(), &mut std::io::sink())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Until the calling thread used so much in all.
fn burn_here(wanted: Duration) {
    let mut sum = 0_u64;
    while Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).is_ok_and(|used| used < wanted) {
        for step in 0..2_000_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(step));
        }
    }
}

fn cpu_ns(usage: &Usage) -> u64 {
    let nanos = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_usec()).unwrap_or(0) * 1_000
    };
    nanos(usage.user_time()) + nanos(usage.system_time())
}

fn bursts(arguments: &[String]) -> Outcome {
    let (count, burn, rest): (u64, u64, u64) = (number(arguments, 0)?, number(arguments, 1)?, number(arguments, 2)?);
    for _ in 1..number(arguments, 3)? {
        // They end with the process.
        thread::spawn(|| thread::sleep(Duration::from_hours(1)));
    }
    let at_work = thread::spawn(move || {
        for index in 1..=count {
            burn_here(Duration::from_millis(burn * index));
            thread::sleep(Duration::from_millis(rest));
        }
        if tell(&[("count", count)]).is_ok() {
            thread::sleep(Duration::from_hours(1));
        }
    });
    std::io::copy(&mut stdin().lock(), &mut std::io::sink())?;
    drop(at_work);
    Ok(ExitCode::SUCCESS)
}

fn threads(arguments: &[String]) -> Outcome {
    let (count, millis): (usize, u64) = (number(arguments, 0)?, number(arguments, 1)?);
    thread::scope(|scope| {
        for _ in 1..count {
            scope.spawn(|| thread::sleep(Duration::from_millis(millis)));
        }
        thread::sleep(Duration::from_millis(millis));
    });
    Ok(ExitCode::SUCCESS)
}

fn raise(signal: i32, core: bool) -> Outcome {
    let limit = if core { None } else { Some(0) };
    setrlimit(Resource::Core, Rlimit { current: limit, maximum: limit })?;
    let signal = Signal::from_named_raw(signal).ok_or("no such signal")?;
    // It arrives before kill returns. Rust's own handler for SIGSEGV and SIGBUS takes the first one and steps aside.
    kill_process(getpid(), signal)?;
    kill_process(getpid(), signal)?;
    Err("still here".into())
}

fn eat(arguments: &[String]) -> Outcome {
    let (mib, millis): (usize, u64) = (number(arguments, 0)?, number(arguments, 1)?);
    let mut eaten = Vec::new();
    for _ in 0..mib {
        eaten.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
    thread::sleep(Duration::from_millis(millis));
    drop(std::hint::black_box(eaten));
    Ok(ExitCode::SUCCESS)
}

/// Ourselves, with other arguments and the same marks.
fn again(arguments: impl IntoIterator<Item = String>, marks: &[String]) -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).args(marks);
    Ok(command)
}

fn exec_chain(links: u32, code: u8, marks: &[String]) -> Outcome {
    let arguments = match links.checked_sub(1) {
        None => return Ok(ExitCode::from(code)),
        Some(left) => ["exec".to_owned(), left.to_string(), code.to_string()],
    };
    Err(again(arguments, marks)?.exec().into())
}

fn exec_in_thread(code: u8, marks: &[String]) -> Outcome {
    let mut command = again(["exit".to_owned(), code.to_string()], marks)?;
    match thread::spawn(move || command.exec()).join() {
        Ok(error) => Err(error.into()),
        Err(_) => Err("the thread panicked".into()),
    }
}

fn child_of(index: u64, mode: &[String], marks: &[String]) -> Result<Command, Box<dyn Error>> {
    let fill = |text: &String| text.replace("{byte}", &(index % 256).to_string()).replace("{}", &index.to_string());
    let marks: Vec<String> = marks.iter().map(fill).collect();
    let mut command = again(mode.iter().map(fill), &marks)?;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command)
}

/// Waiting for the oldest first keeps the number at work near `at_once` without a signal handler.
fn spawn(count: u64, at_once: usize, mode: &[String], marks: &[String]) -> Outcome {
    let mut waiting = std::collections::VecDeque::new();
    let mut signalled = 0;
    let started = Instant::now();
    for index in 0..count {
        if waiting.len() >= at_once.max(1)
            && let Some(child) = waiting.pop_front()
        {
            let mut child: std::process::Child = child;
            signalled += u64::from(child.wait()?.signal().is_some());
        }
        waiting.push_back(child_of(index, mode, marks)?.spawn()?);
    }
    for mut child in waiting {
        signalled += u64::from(child.wait()?.signal().is_some());
    }
    let elapsed = u64::try_from(started.elapsed().as_nanos())?;
    let cpu = cpu_ns(&getrusage(UsageWho::RUSAGE_CHILDREN)?);
    tell(&[("count", count), ("signalled", signalled), ("elapsed_ns", elapsed), ("children_cpu_ns", cpu)])?;
    Ok(ExitCode::SUCCESS)
}

/// What cannot be executed is forked all the same, and gone at once.
fn forks(per_second: u32) -> Outcome {
    let gap = Duration::from_secs(1).checked_div(per_second).ok_or("a pace of 0")?;
    let closed = thread::spawn(|| std::io::copy(&mut stdin().lock(), &mut std::io::sink()));
    let started = Instant::now();
    let mut count = 0;
    while !closed.is_finished() {
        if Command::new("/nonexistent/program").stdin(Stdio::null()).spawn().is_ok() {
            return Err("there should be no such program".into());
        }
        count += 1;
        // No more than so many in a second; what was missed is not made up for.
        thread::sleep((gap * count).saturating_sub(started.elapsed()).min(gap));
    }
    tell(&[("count", count.into())])?;
    Ok(ExitCode::SUCCESS)
}

/// A cgroup is charged for each slice of each of its threads as the scheduler ends it, the last ones too: also for what a
/// child does after it can be waited for.
fn within(arguments: &[String], marks: &[String]) -> Outcome {
    let (cgroup, mode) = arguments.split_first().ok_or("no cgroup given")?;
    let cgroup = std::path::Path::new(cgroup);
    fs::write(cgroup.join("cgroup.procs"), "0")?;
    let before = others_cpu_ns(cgroup)?;
    let mode: Vec<String> = mode.iter().cloned().chain(["--".to_owned()]).chain(marks.iter().cloned()).collect();
    let code = act(&mode)?;
    let others = at_rest(|| others_cpu_ns(cgroup))?;
    tell(&[("others_cpu_ns", u64::try_from(others - before)?)])?;
    Ok(code)
}

/// What was read when it has been the same for a while, but for what rounding makes of it.
fn at_rest(mut read: impl FnMut() -> Result<i64, Box<dyn Error>>) -> Result<i64, Box<dyn Error>> {
    let began = Instant::now();
    let (mut last, mut same) = (read()?, 0);
    while same < 4 {
        if began.elapsed() > Duration::from_secs(30) {
            return Err("it does not come to rest".into());
        }
        thread::sleep(Duration::from_millis(50));
        let next = read()?;
        same = if next.abs_diff(last) <= 2_000 { same + 1 } else { 0 };
        last = next;
    }
    Ok(last)
}

/// What the cgroup was charged for without this thread, and less what this thread had used before it came there. Both are
/// read as the scheduler booked them last: a slice that goes on is in neither.
fn others_cpu_ns(cgroup: &std::path::Path) -> Result<i64, Box<dyn Error>> {
    loop {
        let (own, all_us) = (booked_ns()?, cgroup_cpu_us(cgroup)?);
        if booked_ns()? == own {
            return Ok(i64::try_from(all_us * 1000)? - i64::try_from(own)?);
        }
    }
}

/// CPU time of this thread up to the last time that the scheduler booked it.
fn booked_ns() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("schedstat is empty")?.parse()?)
}

fn cgroup_cpu_us(cgroup: &std::path::Path) -> Result<u64, Box<dyn Error>> {
    let stat = fs::read_to_string(cgroup.join("cpu.stat"))?;
    let line = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).ok_or("cpu.stat has no usage_usec")?;
    Ok(line.parse::<u64>()?)
}

fn herd(count: u64, mode: &[String], marks: &[String]) -> Outcome {
    let mut children = Vec::new();
    for index in 0..count {
        children.push(child_of(index, mode, marks)?.spawn()?);
    }
    tell(&[("count", count)])?;
    std::io::copy(&mut stdin().lock(), &mut std::io::sink())?;
    for mut child in children {
        child.kill()?;
        child.wait()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn pace(per_second: u32, millis: u64, marks: &[String]) -> Outcome {
    let gap = Duration::from_secs(1).checked_div(per_second).ok_or("a pace of 0")?;
    let started = Instant::now();
    let mut count = 0_u64;
    let mut due = started;
    while started.elapsed() < Duration::from_millis(millis) {
        child_of(count, &["exit".to_owned(), "0".to_owned()], marks)?.spawn()?.wait()?;
        count += 1;
        due += gap;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let cpu = cpu_ns(&getrusage(UsageWho::RUSAGE_CHILDREN)?);
    let elapsed = u64::try_from(started.elapsed().as_nanos())?;
    tell(&[("count", count), ("elapsed_ns", elapsed), ("children_cpu_ns", cpu)])?;
    Ok(ExitCode::SUCCESS)
}

fn timed_loop(count: u64) -> Outcome {
    let started = Instant::now();
    for _ in 0..count {
        Command::new("/bin/true").status()?;
    }
    tell(&[("count", count), ("elapsed_ns", u64::try_from(started.elapsed().as_nanos())?)])?;
    Ok(ExitCode::SUCCESS)
}

fn pingpong(count: u64) -> Outcome {
    // On one CPU each hand-over is a context switch.
    let mut cpus = CpuSet::new();
    cpus.set(0);
    sched_setaffinity(None, &cpus)?;
    let (mut request, mut asking) = pipe()?;
    let (mut reply, mut answering) = pipe()?;
    let started = Instant::now();
    thread::scope(|scope| -> std::io::Result<()> {
        scope.spawn(move || {
            let mut byte = [0];
            while request.read_exact(&mut byte).and_then(|()| answering.write_all(&byte)).is_ok() {}
        });
        let mut byte = [0];
        for _ in 0..count {
            asking.write_all(&byte)?;
            reply.read_exact(&mut byte)?;
        }
        // The other thread ends when there is nobody left to ask.
        drop(asking);
        Ok(())
    })?;
    tell(&[("count", count), ("elapsed_ns", u64::try_from(started.elapsed().as_nanos())?)])?;
    Ok(ExitCode::SUCCESS)
}
