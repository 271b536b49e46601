use probe_user::kernel::loader::*;
fn main() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let t = std::time::Instant::now();
        let mut a = match attach(LoadSettings::default()) {
            Ok(a) => a,
            Err(e) => {
                println!("{e}");
                return;
            }
        };
        println!("attached in {:?}", t.elapsed());
        let t = std::time::Instant::now();
        let rows = a.sampler.scan().unwrap();
        println!("scan {} in {:?}", rows.len(), t.elapsed());
        for r in rows.iter().rev().take(4) {
            println!("{r:?}");
        }
        let me = rows.iter().find(|r| r.key.tgid == std::process::id()).unwrap();
        a.watched.set(me.key, probe_user::engine::Watch { exit: true, usage: true });
        let t = std::time::Instant::now();
        let s = a.sampler.sample().unwrap();
        println!("sample {:?} in {:?}", s, t.elapsed());
        let mut v = vec![];
        let _ = std::process::Command::new("/bin/sh").args(["-c", "sleep 0.05; kill -9 $$"]).spawn().unwrap().wait();
        for _ in 0..3 {
            a.records.ready().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            a.records.drain(10000, &mut v);
            for r in v.drain(..) {
                println!("{r:?}");
            }
        }
        println!(
            "{:?} {}",
            a.records.stats(),
            std::fs::read_to_string("/proc/self/status")
                .unwrap()
                .lines()
                .filter(|l| l.starts_with("Vm") || l.starts_with("Rss"))
                .collect::<Vec<_>>()
                .join("\n")
        );
        println!("{:?}", a.losses.costs());
    });
}
