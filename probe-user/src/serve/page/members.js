// The processes of the group that is looked at.

function membersTable() {
  const note = el("p", { class: "quiet" });
  const table = new Table({
    caption: "Processes",
    sort: "cpu",
    empty: "It has no process now.",
    narrow: "members",
    columns: [
      {
        key: "pid", title: "PID", number: true, by: (item) => item.row.pid,
        make: (cell) => {
          const button = el("button", { type: "button", class: "row-link" });
          button.addEventListener("click", () => showProcess(button.shows));
          return cell.appendChild(button);
        },
        draw: (cell, item, button) => {
          say(button, String(item.row.pid));
          button.shows = item.row;
        },
      },
      textColumn("user", "User", (item) => plain(item.row.user ?? item.row.uid, 40), { wide: true }),
      textColumn("cpu", "CPU", (item) => (item.row.cpu === null ? "-" : coresOf(item.row.cpu)), { number: true, by: (item) => negated(item.row.cpu) }),
      textColumn("memory", "Memory", (item) => (item.row.memory === null ? "-" : bytesOf(item.row.memory)), { number: true, by: (item) => negated(item.row.memory) }),
      textColumn("threads", "Threads", (item) => digits(item.row.threads, 0), { number: true, wide: true, by: (item) => -item.row.threads }),
      textColumn("age", "Age", (item) => spanOf(ageOf(item.row)), { number: true, wide: true, by: (item) => ageOf(item.row) }),
      textColumn("command", "Command", (item) => plain(item.row.command, 300)),
    ],
  });
  return {
    note,
    table,
    draw() {
      const head = world.rows.get("roster");
      const all = world.of("process").map(([key, row]) => {
        row.came ??= world.time;
        return { key, row, text: `${row.pid} ${row.user ?? row.uid} ${row.command}` };
      });
      const cut = head && head.members > all.length ? `The ${many(all.length, "process", "processes")} that use most, of ${digits(head.members, 0)}. ` : "";
      const sampled = head && !head.sampled ? "No bound of this group asks for samples: what each uses is not measured." : "";
      say(note, cut + sampled);
      table.show(all);
    },
  };
}

// It was so old when its row came.
function ageOf(row) {
  return row.age + (world.time - row.came) / 1000;
}

function showProcess(row) {
  const facts = [
    ["PID", row.pid], ["Parent", row.parent ?? "unknown"], ["User", row.user ?? row.uid], ["Name", row.comm],
    ["Executable", row.exe], ["Command", row.command], ["Threads", row.threads], ["Age", spanOf(ageOf(row))],
    ["CPU", row.cpu === null ? "not measured" : `${coresOf(row.cpu)} cores`], ["Memory", row.memory === null ? "not measured" : bytesOf(row.memory)],
  ];
  const close = el("button", { type: "button", on: { click: () => dialog.close() } }, "Close");
  const dialog = el("dialog", { "aria-label": `Process ${row.pid}`, on: { close: () => dialog.remove() } },
    el("dl", { class: "facts" }, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, plain(value))))),
    el("p", {}, close));
  document.body.append(dialog);
  dialog.showModal();
}
