// The engine's source with a few lines changed, as a crate in build/engine that host/Cargo.toml puts in place of the
// published one. They make a heap image immortal (docs/decisions/0012): what lies in it is never counted, collected or
// freed, so that its pages stay clean and shared. And the bindings of libseccomp, likewise, in build/seccomp.

import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { COMPACT } from "./compact.ts";
import { layout } from "./paths.ts";
import { output } from "./run.ts";

export interface Change {
  /** Found exactly once in the source. */
  from: string;
  to: string;
}

/** The image's place; before it is known, and in programs without one, nothing is in it. */
const PLACE = `
static uintptr_t gantry_image_start, gantry_image_size;
static int gantry_uncounted;

static inline bool gantry_in_image(const void *p) {
    return (uintptr_t)p - gantry_image_start < gantry_image_size;
}

/* All reference counts of the image are this one, which is far from nothing and from one: those are what the engine
   looks for when it frees, or changes something in place because nobody else can see it. */
#define GANTRY_MANY (1 << 30)
static inline int *gantry_ref_count(const void *p) {
    if (gantry_in_image(p)) {
        gantry_uncounted = GANTRY_MANY;
        return &gantry_uncounted;
    }
    return &js_rc(p)->ref_count;
}
`;

/** In js_arena_free. */
const FREE = "    b = container_of(ptr, JSMallocBlockHeader, user_data);\n";
const FREE_LARGE = `    if (unlikely(b->u.block_idx == JS_ARENA_FREE_NIL)) {
        /* large or zero-size block */`;

const CHANGES: readonly Change[] = [
  {
    from: "#define JS_REF_COUNT(p) (js_rc(p)->ref_count)",
    to: `${PLACE}#define JS_REF_COUNT(p) (*gantry_ref_count(p))`,
  },
  // A block of the image that is not counted (an object's properties, which moved) is given up, not used again.
  {
    from: `${FREE}${FREE_LARGE}`,
    to: `    if (gantry_in_image(ptr))
        return;
${FREE}${FREE_LARGE}`,
  },
  // Three more sizes of small blocks, for the frames of asynchronous functions: such blocks lie in pages that go back
  // when they are free, others in chunks that stay.
  { from: "#define JS_ARENA_BLOCK_SIZE_COUNT  31", to: "#define JS_ARENA_BLOCK_SIZE_COUNT  34" },
  { from: "#define JS_ARENA_MAX_SMALL_SIZE    512", to: "#define JS_ARENA_MAX_SMALL_SIZE    1344" },
  {
    from: "    288, 320, 352, 384, 416, 448, 480, 512,\n",
    to: "    288, 320, 352, 384, 416, 448, 480, 512, 672, 1008, 1344,\n",
  },
  {
    from: "        return (size + 31) / 32 + 14;\n",
    to: `        return (size + 31) / 32 + 14;
    else if (size <= 1344)
        return (size + 335) / 336 + 29;
`,
  },
  // What the collector goes through are the objects that come after the image.
  {
    from: "void JS_RunGC(JSRuntime *rt)\n{",
    to: `/* What a program begins with once its top level has run. The objects become a ring of their own, whose head
   lies with them. The tables get room for more, and free atoms come in order: a table that grows at run time writes to
   every entry, which are everywhere in the image. Pages of small blocks are forgotten, with the places free in them:
   what is allocated then lies together in new pages, which are not linked with those. Where the stack was is forgotten
   (JS_UpdateStackTop says where it is). */
/* What a program allocates beside its image counts from here. Not from 0: what the image frees is taken off. */
#define GANTRY_BASE (256 << 10)
/* Bytes of garbage that a program which rests now and then may gather. */
#define GANTRY_GARBAGE (128 << 10)
#define GANTRY_MORE_SHAPES 384
#define GANTRY_MORE_ATOMS 512
void JS_RunGC(JSRuntime *rt);
bool gantry_settle(JSRuntime *rt, size_t more)
{
    struct list_head *head;
    JSAtomStruct **atoms;
    int i, size = rt->atom_size;

    while (2 * (rt->shape_hash_count + GANTRY_MORE_SHAPES) > rt->shape_hash_size)
        if (resize_shape_hash(rt, rt->shape_hash_bits + 1))
            return false;
    if (rt->atom_count + GANTRY_MORE_ATOMS >= rt->atom_count_resize && JS_ResizeAtomHash(rt, rt->atom_hash_size * 2))
        return false;
    if (rt->atom_count + GANTRY_MORE_ATOMS > size) {
        size = rt->atom_count + GANTRY_MORE_ATOMS;
        atoms = js_realloc_rt(rt, rt->atom_array, sizeof(*atoms) * size);
        if (!atoms)
            return false;
        for (i = rt->atom_size; i < size; i++)
            atoms[i] = atom_set_free(0);
        rt->atom_array = atoms;
        rt->atom_size = size;
    }
    rt->atom_free_index = 0;
    for (i = size - 1; i > 0; i--) {
        if (atom_is_free(rt->atom_array[i])) {
            rt->atom_array[i] = atom_set_free(rt->atom_free_index);
            rt->atom_free_index = i;
        }
    }
    head = js_malloc_rt(rt, sizeof(*head));
    if (!head)
        return false;
    *head = rt->gc_obj_list;
    head->next->prev = head;
    head->prev->next = head;
    init_list_head(&rt->gc_obj_list);
    rt->stack_top = rt->stack_limit = 0;
    rt->malloc_state.malloc_size = GANTRY_BASE;
    rt->malloc_gc_threshold = GANTRY_BASE + more;
    for (i = 0; i < JS_ARENA_BLOCK_SIZE_COUNT; i++) {
        init_list_head(&rt->arena_state.arena_list[i]);
        init_list_head(&rt->arena_state.free_arena_list[i]);
    }
    return true;
}

void gantry_collect(JSRuntime *rt)
{
    JS_RunGC(rt);
    rt->malloc_gc_threshold = rt->malloc_state.malloc_size + GANTRY_GARBAGE;
}

void gantry_set_image(const void *start, size_t size)
{
    gantry_image_start = (uintptr_t)start;
    gantry_image_size = size;
}

void JS_RunGC(JSRuntime *rt)
{`,
  },
];

/** Rust's standard library would be linked for the sake of a few names of C's types, which core has. */
const WITHOUT_STD: readonly Change[] = [{ from: "use std::os::raw::*;", to: "use core::ffi::*;" }];
const NO_STD = "#![no_std]\n";

/** Makes build/engine and build/seccomp. */
export function prepareCrates(): void {
  const folders = crateFolders();
  prepare(folders("rquickjs-sys"), { into: "engine", file: "quickjs/quickjs.c" }, (text) =>
    [...CHANGES, ...COMPACT].reduce(replaceOnce, text),
  );
  prepare(folders("libseccomp-sys"), { into: "seccomp", file: "src/lib.rs" }, (text) =>
    WITHOUT_STD.reduce(replaceOnce, NO_STD + text),
  );
}

/** A copy of the crate with one file changed, unless there is one. */
function prepare(
  crate: string,
  { into, file }: { into: string; file: string },
  change: (text: string) => string,
): void {
  const [source, folder] = [join(crate, file), join(layout.work, into)];
  const target = join(folder, file);
  const changed = change(readFileSync(source, "utf8"));
  if (existsSync(target) && readFileSync(target, "utf8") === changed) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(layout.work, { recursive: true });
  cpSync(crate, folder, { recursive: true });
  writeFileSync(target, changed);
}

/** Where Cargo keeps the verified sources of the versions that host/engine names. */
function crateFolders(): (crate: string) => string {
  const manifest = join(layout.host, "engine/Cargo.toml");
  const words = ["metadata", "--format-version", "1", "--locked", "--manifest-path", manifest];
  const found = JSON.parse(output("cargo", words)) as { packages: { name: string; manifest_path: string }[] };
  return (crate) => dirname(found.packages.find(({ name }) => name === crate)!.manifest_path);
}

function replaceOnce(text: string, { from, to }: Change): string {
  const at = text.indexOf(from);
  if (at < 0 || text.includes(from, at + 1)) throw new Error(`a crate has changed: not once in its source: ${from}`);
  return text.slice(0, at) + to + text.slice(at + from.length);
}
