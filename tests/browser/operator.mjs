// What an operator does in the console: opens a view, presses a button, gives a reason.

/** `page` and `world` return what is in use when an act is carried out. */
export function acts(page, world) {
  const open = (hash) => page().goto(`${world().url}/console/#/${hash}`);
  const dialog = () => page().getByRole('dialog');
  const button = (name) => page().getByRole('button', { name, exact: true });

  /** Gives a reason in the open dialog, and a name if it asks for one, and confirms. */
  const confirm = async (verb, reason) => {
    const name = dialog().getByLabel('Your name');
    if (await name.isVisible()) await name.fill('ada');
    await dialog().getByLabel('Reason', { exact: true }).fill(reason);
    const press = dialog().getByRole('button', { name: verb, exact: true });
    await press.click();
    // It ends, shows what followed, or says why not.
    await press.waitFor({ state: 'hidden' }).catch(async () => { throw new Error(`${verb}: ${await dialog().innerText()}`); });
  };

  const setShares = async (shares, wait) => {
    await button('Change the shares').click();
    for (const [name, percent] of Object.entries(shares)) await dialog().getByLabel(`${name}, %`, { exact: true }).fill(String(percent));
    if (wait) await dialog().getByRole('checkbox').check();
  };

  return { open, dialog, button, confirm, setShares };
}
