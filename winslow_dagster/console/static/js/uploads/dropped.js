// What was chosen or dropped: files, and folders with all that is in them. Each has a name, a `kind`, and `files`.
const one = (file) => ({ name: file.name, kind: "file", files: [{ path: file.name, file }] });

export function chosenFiles(files) {
  return [...files].map(one);
}

// An input for folders gives files whose paths begin with the name of the folder.
export function chosenFolders(files) {
  const folders = new Map();
  for (const file of files) {
    const [name, ...path] = file.webkitRelativePath.split("/");
    if (!folders.has(name)) folders.set(name, { name, kind: "directory", files: [] });
    folders.get(name).files.push({ path: path.join("/"), file });
  }
  return [...folders.values()];
}

export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return chosenFiles(transfer.files);
  return Promise.all(entries.map(async (entry) => {
    if (entry.isFile) return one(await fileOf(entry));
    const files = [];
    await collect(entry, "", files);
    return { name: entry.name, kind: "directory", files };
  }));
}

const fileOf = (entry) => new Promise((resolve, reject) => { entry.file(resolve, reject); });

async function collect(folder, path, files) {
  const reader = folder.createReader();
  for (;;) {
    const part = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (part.length === 0) return;
    for (const entry of part) {
      if (entry.isFile) files.push({ path: path + entry.name, file: await fileOf(entry) });
      else await collect(entry, `${path}${entry.name}/`, files);
    }
  }
}
