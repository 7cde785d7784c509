// A program that makes the mistake that it is told to: address, undefined or race.

#include <cstring>

#include "mistakes.h"

int main(int count, char** arguments) {
  if (count < 2) return 2;
  if (std::strcmp(arguments[1], "address") == 0) return lazyshadow::test::readPastTheEnd() & 1;
  if (std::strcmp(arguments[1], "undefined") == 0) return lazyshadow::test::overflow() & 1;
  if (std::strcmp(arguments[1], "race") == 0) return lazyshadow::test::race() & 1;
  return 2;
}
