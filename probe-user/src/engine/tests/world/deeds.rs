//! What processes do, and the records of it.

use super::*;

impl World {
    pub(super) fn have(&mut self, pid: u32, exe: &str) {
        let key = ProcessKey { tgid: pid, start: KTime(u64::from(pid)) };
        let identity = Identity {
            parent: (pid != 1).then(|| self.reals[&1].key),
            start_boot_ns: key.start.0,
            cgroup_id: 1,
            uid: 0,
            gid: 0,
            comm: exe.rsplit('/').next().unwrap().into(),
            kernel_thread: false,
        };
        let real = Real {
            key,
            identity,
            program: program(exe, exe),
            title: exe.to_owned(),
            cpu_ms: 0,
            rss_mib: 0,
            read_kib: 0,
            threads: 1,
            watch: Watch::NONE,
        };
        self.reals.insert(pid, real);
    }

    pub(super) fn options(&mut self, pid: u32, options: &Options<'_>) {
        let parent = options.number::<u32>("from").map(|from| self.reals[&from].key);
        let real = self.reals.get_mut(&pid).unwrap();
        real.identity.parent = parent.or(real.identity.parent);
        real.identity.uid = options.number("uid").unwrap_or(real.identity.uid);
        if let Some(comm) = options.text("comm") {
            real.identity.comm = comm.into();
        }
        if let Some(args) = options.text("args") {
            real.title = args.replace('_', " ");
            real.program = program(&real.program.exe, &real.title);
        }
        real.cpu_ms = options.number("cpu").unwrap_or(real.cpu_ms);
        real.rss_mib = options.number("rss").unwrap_or(real.rss_mib);
        real.read_kib = options.number("read").unwrap_or(real.read_kib);
        real.threads = options.number("threads").unwrap_or(real.threads);
    }

    pub(super) fn fork(&mut self, at: KTime, pid: u32, options: &Options<'_>, seen: bool) {
        let forker = self.reals[&options.number("from").unwrap_or(1)].clone();
        let key = ProcessKey { tgid: pid, start: at };
        let identity = Identity { parent: Some(forker.key), start_boot_ns: at.0, ..forker.identity.clone() };
        let child =
            Real { key, identity: identity.clone(), cpu_ms: 0, rss_mib: 1, read_kib: 0, threads: 1, ..forker.clone() };
        self.reals.insert(pid, child);
        if seen {
            self.record(at, pid, Body::Fork { identity, forker: forker.key });
        }
    }

    pub(super) fn exec(&mut self, at: KTime, pid: u32, exe: &str, options: &Options<'_>, seen: bool) {
        let real = self.reals.get_mut(&pid).unwrap();
        real.program = program(exe, exe);
        real.title = exe.to_owned();
        real.identity.comm = exe.rsplit('/').next().unwrap().into();
        self.options(
            pid,
            &Options(options.0.iter().filter(|(name, _)| **name != "from").map(|(a, b)| (*a, *b)).collect()),
        );
        let real = &self.reals[&pid];
        if seen {
            let body = Body::Exec { identity: real.identity.clone(), program: Arc::clone(&real.program) };
            self.record(at, pid, body);
        }
    }

    pub(super) fn exit(&mut self, at: KTime, pid: u32, options: &Options<'_>, seen: bool) {
        let status = match options.text("sig") {
            Some(name) => ExitStatus::Signal { number: signal::number(name).unwrap(), core_dumped: false },
            None => ExitStatus::Code(options.number("code").unwrap_or(0)),
        };
        if let (Some(by), ExitStatus::Signal { number, .. }) = (options.text("by"), status) {
            let (sender, comm) = by.split_once('/').unwrap();
            let sent = SignalSent {
                number,
                by_kernel: false,
                sender_tgid: sender.parse().unwrap(),
                sender_uid: 0,
                sender_comm: comm.into(),
            };
            self.record(at, pid, Body::Signal(sent));
        }
        let real = self.reals[&pid].clone();
        if seen {
            let body = Body::Exit {
                status,
                peak_rss_bytes: real.rss_mib << 20,
                cpu_ns: real.cpu_ms * 1_000_000,
                comm: real.identity.comm,
                uid: real.identity.uid,
                parent_tgid: 1,
            };
            self.record(at, pid, body);
        }
        if options.text("close").is_none_or(|close| close != "no") {
            self.close(at, pid, options);
        }
        self.reals.remove(&pid);
    }

    pub(super) fn close(&mut self, at: KTime, pid: u32, options: &Options<'_>) {
        let real = &self.reals[&pid];
        let cpu_ns = options.number("cpu").unwrap_or(real.cpu_ms) * 1_000_000;
        let read_bytes = real.read_kib << 10;
        let account = Account { cpu_ns, wait_ns: 0, read_bytes, write_bytes: 0, exact: true };
        self.record(at, pid, Body::Account(account));
    }

    pub(super) fn record(&mut self, at: KTime, pid: u32, body: Body) {
        let key = self.reals[&pid].key;
        self.step(Input::Record(Record { at, key, body }));
    }
}
