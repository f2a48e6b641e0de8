/** Finds options that do not exist, which JavaScript would pass over in silence. */

/**
 * Checks that `value` is an object with no names but `names`; undefined is fine.
 *
 * @param where - What `value` is to the caller, such as "options".
 * @throws TypeError naming the first that is not among them: a misspelt `tls` must not mean none.
 */
export function checkNames(where: string, value: unknown, names: ReadonlySet<string>): void {
  if (value === undefined) return;
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`${where}: must be an object, not ${String(value)}`);
  }
  for (const name of Object.keys(value)) {
    if (!names.has(name)) throw new TypeError(`${where}: there is no ${name}`);
  }
}

/**
 * The names of `T`, as a set. To list them all, and no others, is checked by the compiler: a record
 * has each of them once.
 */
export function namesOf<T>(names: Record<keyof Required<T>, true>): ReadonlySet<string> {
  return new Set(Object.keys(names));
}
