//! `procprobe schema`, `completions` and `man`: texts made from the same tables that the program runs by.

use clap::CommandFactory as _;

use super::args::{Cli, ManArgs, SchemaArgs, SchemaOf};
use super::{Exit, complain, print};
use crate::config::CONFIG;
use crate::policy;
use crate::yaml::schema;

pub(super) fn schema(args: &SchemaArgs) -> Exit {
    let schema = match args.of {
        SchemaOf::Policies => policy::schema(),
        SchemaOf::Config => schema::of_file(&CONFIG, "procprobe configuration"),
    };
    // `{:#}` of a JSON value is its indented text.
    print(&format!("{schema:#}\n"));
    Exit::Well
}

pub(super) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "procprobe", &mut text);
    print(&String::from_utf8_lossy(&text));
    Exit::Well
}

pub(super) fn man(args: &ManArgs) -> Exit {
    let mut whole = Cli::command();
    whole.build();
    let command = match &args.command {
        None => whole,
        Some(name) => {
            let Some(command) = whole.find_subcommand(name) else {
                complain(&format!("procprobe: there is no command `{name}`"));
                return Exit::Usage;
            };
            // The name only has to live as long as the program, which ends after this.
            let full: &'static str = format!("procprobe-{name}").leak();
            command.clone().name(full).bin_name(full)
        }
    };
    let mut text = Vec::new();
    if let Err(error) = clap_mangen::Man::new(command).render(&mut text) {
        complain(&format!("procprobe: the manual page cannot be made: {error}"));
        return Exit::NotWell;
    }
    print(&String::from_utf8_lossy(&text));
    Exit::Well
}
