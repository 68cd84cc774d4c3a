"""account: the check of a bank account subtracts a deposit.

Source: SCTBench, CS.account_bad. All accesses are guarded; the assertion is wrong, so the bug shows in the schedules in
which the checker comes after both the deposit and the withdrawal, though it was started first.

Departures: main waits for the threads; the original's does not.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check

START, DEPOSIT, WITHDRAWAL = 1, 2, 4


class Account:
    """A balance, and what has been done."""

    def __init__(self) -> None:
        self.balance = START
        self.deposited = False
        self.withdrawn = False
        self.lock = threading.Lock()


def deposit(account: Account) -> None:
    with account.lock:
        account.balance += DEPOSIT
        account.deposited = True


def withdraw(account: Account) -> None:
    with account.lock:
        account.balance -= WITHDRAWAL
        account.withdrawn = True


def check_result(account: Account) -> None:
    with account.lock:
        if account.deposited and account.withdrawn:
            assert account.balance == (START - DEPOSIT) - WITHDRAWAL, "the balance is wrong"


def check_rightly(account: Account) -> None:
    with account.lock:
        if account.deposited and account.withdrawn:
            assert account.balance == START + DEPOSIT - WITHDRAWAL, "the balance is wrong"


BUGGY = ThreadProgram(Account, (check_result, deposit, withdraw), nothing_to_check)
FIXED = ThreadProgram(Account, (check_rightly, deposit, withdraw), nothing_to_check)
