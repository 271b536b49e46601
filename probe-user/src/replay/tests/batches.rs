//! What is handed from thread to thread, against one decoder that reads the same bytes.

use super::*;
use crate::kernel::convert::Converter;
use crate::record::Record;
use crate::replay::decode::{Delivery, Step, spawn};

/// More programs than the list of a batch has places for, and some that come again.
fn programs(tape: &mut Tape, count: u32) {
    for number in 0..count {
        let header = tape.header(BEGAN + 1, Worker(number + 2, BEGAN));
        let (exe, args) = match number % 4 {
            0 => ("nginx", format!("nginx\0{number}\0")),
            1 => ("sh", format!("sh\0{}\0", number % 300)),
            _ => ("date", "date\0".to_owned()),
        };
        let args_bytes = u32::try_from(args.len()).unwrap();
        let exec = wire::Exec { header, identity: identity(), args_count: 2, args_bytes, ..wire::Exec::default() };
        let exe = format!("{exe}\0bin\0");
        encode(&Raw::Exec { exec, exe: exe.as_bytes(), filename: b"", args: args.as_bytes() }, &mut tape.batch);
    }
}

#[test]
fn batches_bring_every_record_in_order_with_its_program() {
    // Fewer than fit into a batch, just as many, and some batches of them.
    for count in [1, 1023, 1024, 1025, 5000] {
        let mut tape = Tape::new(&[]);
        programs(&mut tape, count);
        let bytes = tape.batch.clone();
        tape.drain(BEGAN + 1);
        let file = tape.end(BEGAN + 2);
        let mut expected = Vec::new();
        let (mut converter, mut rest) = (Converter::with_pages(4096), &*bytes);
        while !rest.is_empty() {
            let (record, behind) = converter.next(rest, Arc::clone).unwrap();
            expected.push(record);
            rest = behind;
        }
        let batches = spawn(Reader::open(std::io::Cursor::new(file)).unwrap()).unwrap();
        let mut records: Vec<Record> = Vec::new();
        let mut settled = Vec::new();
        while let Some(Delivery::Batch(mut batch)) = batches.next() {
            let whole = batch.empty_into(|step| {
                match step {
                    Step::Record(_, listed) => {
                        records.push(listed.record.clone().with_program(|place| listed.program(place)));
                    }
                    Step::Settle(now) => settled.push((now, records.len())),
                    Step::Input(..) | Step::Sample(..) => {}
                }
                true
            });
            assert!(whole);
            batches.give_back(batch);
        }
        assert_eq!(records, expected);
        let all = usize::try_from(count).unwrap();
        // Settled once behind the drain, not between its batches.
        assert!(settled.contains(&(KTime::from_secs(BEGAN + 1), all)), "{settled:?}");
        assert!(settled.iter().all(|(_, records)| [0, all].contains(records)), "{settled:?}");
    }
}

#[test]
fn who_has_heard_enough_gets_no_more() {
    let mut tape = Tape::new(&[]);
    programs(&mut tape, 5000);
    let batches = spawn(Reader::open(std::io::Cursor::new(tape.end(BEGAN + 1))).unwrap()).unwrap();
    let Some(Delivery::Batch(mut batch)) = batches.next() else { panic!("no batch") };
    let mut taken = 0;
    let whole = batch.empty_into(|_| {
        taken += 1;
        taken < 3
    });
    assert_eq!((whole, taken), (false, 3));
}
