// Changes to the engine's source (source.ts) that make heap images and executables smaller: what a program that was
// compiled ahead of time never looks at is not kept (docs/decisions/0014).

import type { Change } from "./source.ts";

/** Of a function's arguments and local variables the interpreter asks one thing: at which place of the frame a captured
 *  one has its reference. The compiler's description of each (20 bytes) is read, but not kept. */
const VARIABLES: readonly Change[] = [
  {
    from: `    JSClosureVar *closure_var; /* list of variables in the closure (self pointer) */
    uint16_t arg_count;
`,
    to: `    JSClosureVar *closure_var; /* list of variables in the closure (self pointer) */
    uint16_t *gantry_places; /* instead of vardefs, of a function that was read (self pointer) */
    uint16_t arg_count;
`,
  },
  {
    from: `static JSVarRef *get_var_ref(JSContext *ctx, JSStackFrame *sf, int var_idx,
                             bool is_arg)
{`,
    to: `#define GANTRY_NOT_CAPTURED 0xffff
/* Index of a variable's JSVarRef in its frame, or -1. */
static inline int gantry_place(const JSFunctionBytecode *b, int at)
{
    if (b->gantry_places)
        return b->gantry_places[at] == GANTRY_NOT_CAPTURED ? -1 : b->gantry_places[at];
    return b->vardefs[at].is_captured ? b->vardefs[at].var_ref_idx : -1;
}

static JSVarRef *get_var_ref(JSContext *ctx, JSStackFrame *sf, int var_idx,
                             bool is_arg)
{`,
  },
  {
    from: `    int var_ref_idx;
    JSVarDef *vd;

    p = JS_VALUE_GET_OBJ(sf->cur_func);
    b = p->u.func.function_bytecode;

    if (is_arg) {
        vd = &b->vardefs[var_idx];
        pvalue = &sf->arg_buf[var_idx];
    } else {
        vd = &b->vardefs[b->arg_count + var_idx];
`,
    to: `    int var_ref_idx;

    p = JS_VALUE_GET_OBJ(sf->cur_func);
    b = p->u.func.function_bytecode;

    if (is_arg) {
        var_ref_idx = gantry_place(b, var_idx);
        pvalue = &sf->arg_buf[var_idx];
    } else {
        var_ref_idx = gantry_place(b, b->arg_count + var_idx);
`,
  },
  {
    from: `    if (vd->is_captured) {
        var_ref_idx = vd->var_ref_idx;
        var_ref = sf->var_refs[var_ref_idx];
`,
    to: `    if (var_ref_idx >= 0) {
        var_ref = sf->var_refs[var_ref_idx];
`,
  },
  {
    from: "    var_ref_idx = b->vardefs[b->arg_count + var_idx].var_ref_idx;\n",
    to: "    var_ref_idx = gantry_place(b, b->arg_count + var_idx);\n",
  },
  {
    from: "    function_size += local_count * sizeof(*bc.vardefs);\n",
    to: "    function_size += (local_count + local_count % 2) * sizeof(*bc.gantry_places);\n",
  },
  {
    from: `        b->vardefs = (void *)((uint8_t*)b + vardefs_offset);
    }
    if (b->closure_var_count`,
    to: `        b->gantry_places = (void *)((uint8_t*)b + vardefs_offset);
    }
    if (b->closure_var_count`,
  },
  {
    from: `            JSVarDef *vd = &b->vardefs[i];
            if (bc_get_atom(s, &vd->var_name))
                goto fail;
`,
    to: `            JSVarDef read = { 0 }, *vd = &read;
            if (bc_get_atom(s, &vd->var_name))
                goto fail;
            JS_FreeAtom(ctx, vd->var_name);
`,
  },
  {
    from: `                if (bc_get_leb128_u16(s, &vd->var_ref_idx))
                    goto fail;
            }
`,
    to: `                if (bc_get_leb128_u16(s, &vd->var_ref_idx))
                    goto fail;
            }
            b->gantry_places[i] = vd->is_captured ? vd->var_ref_idx : GANTRY_NOT_CAPTURED;
`,
  },
];

/** Names of variables are for messages, like line numbers: bytecode without the one has no use for the other. */
const NAMES: readonly Change[] = [
  {
    from: "            bc_put_atom(s, vd->var_name);\n",
    to: "            bc_put_atom(s, s->allow_debug ? vd->var_name : JS_ATOM_NULL);\n",
  },
  {
    from: "        bc_put_atom(s, cv->var_name);\n",
    to: `        bc_put_atom(s, s->allow_debug || cv->closure_type > JS_CLOSURE_REF ? cv->var_name : JS_ATOM_NULL);
`,
  },
];

/** Functions of Math that no program calls. libc has each of them several times, for as many kinds of processors:
 *  0.3 MB. To a program they are undefined, so tools/tidy.ts lets nobody call them. */
export const UNCALLED = [
  ...["acos", "asin", "atan", "atan2", "cos", "exp", "log", "sin", "tan", "cosh", "sinh", "tanh", "acosh", "asinh"],
  ...["atanh", "expm1", "log1p", "log2", "hypot"],
];
const MATH: readonly Change[] = UNCALLED.map((name) => ({ from: `    ${mathRow(name)}\n`, to: "" }));

function mathRow(name: string): string {
  if (name === "hypot") return 'JS_CFUNC_DEF("hypot", 2, js_math_hypot ),';
  if (name === "atan2") return 'JS_CFUNC_SPECIAL_DEF("atan2", 2, f_f_f, js_math_atan2 ),';
  return `JS_CFUNC_SPECIAL_DEF("${name}", 1, f_f, js_math_${name} ),`;
}

export const COMPACT: readonly Change[] = [...VARIABLES, ...NAMES, ...MATH];
