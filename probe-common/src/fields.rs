//! The one list of the wire's structs and their fields, in the order in which they lie. Reading, writing and the check of
//! their layout are made from it, so that none of them can leave a field out.

/// Hands every struct with its fields to the macro of that name.
macro_rules! with_structs {
    ($make:ident) => {
        $make! {
            Header { kind, flags, size, cpu, tgid, seq, time, start_time }
            Identity { parent_start_time, start_boottime, cgroup_id, parent_tgid, uid, gid, reserved, comm }
            Fork { header, identity, forker_tgid, reserved, forker_start_time }
            Exec { header, identity, args_count, args_bytes, exe_len, filename_len, args_len, reserved }
            Exit { header, status, parent_tgid, uid, reserved, max_rss_pages, cpu_ns, comm }
            Account { header, cpu_ns, wait_ns, read_bytes, write_bytes, threads }
            Signal { header, signal, code, sender_tgid, sender_uid, sender_comm }
            Oom { header }
            Rename { header, comm }
            Cgroup { header, cgroup_id, path_len, reserved }
            Task { header, identity, threads, status, reaped_cpu_ns, exe_len, cgroup_len, reserved }
            Usage {
                header, tid, threads, cpu_ns, wait_ns, read_bytes, write_bytes, rss_pages,
                gone_cpu_ns, gone_wait_ns, gone_read_bytes, gone_write_bytes
            }
            GlanceEnd { header }
        }
    };
}
pub(crate) use with_structs;
